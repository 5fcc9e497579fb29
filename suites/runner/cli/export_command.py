"""`export-results`, `take-out`: the records of folders in the forms of others, and the model of one of them."""

import enum
from pathlib import Path
from typing import Annotated

import typer

from .output import announce, say


class Form(enum.StrEnum):
    """What results can be written as."""

    parquet = "parquet"
    hub = "hub"
    every_eval_ever = "every-eval-ever"


def export_results(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Result folders, frozen or not.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file (parquet) or folder to make; none there yet.")],
    form: Annotated[Form, typer.Option("--to", help="The form.")],
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME", help="For hub: the benchmark's data set there (sparsebench/<suite> unless given)."
        ),
    ] = None,
) -> None:
    """Results as data: one Parquet file, the hub's .eval_results files, or Every Eval Ever's JSON.

    parquet: one row for each record and metric. hub: OUT/<model>/.eval_results/<task>.yaml, a model is a row on its
    backbone. every-eval-ever: OUT/data/..., a JSON for each record and its answers by question. What a form cannot say
    is counted in the last line.
    """
    announce(f"reading the records of {', '.join(map(str, folders))}", err=True)
    from ..results.export import export

    say(str(export(folders, form.value, out, dataset)))


def take_out(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A result folder.")],
    record: Annotated[str, typer.Argument(metavar="RECORD", help="The id of a record in it.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make; none there yet.")],
) -> None:
    """The language model that a cell trained, as a folder that `export` and sparsebench.models.load open.

    For cells that ran with `--set checkpoints=keep`. The model is scored again, and must have the score of its record.
    """
    announce(f"putting the cell of {record} together again")
    from ..verification.take_out import take_out as write

    write(folder, record, out, say)
    say(f"written to {out}; next: sparsebench export {out} STOCK --engine llama.cpp")
