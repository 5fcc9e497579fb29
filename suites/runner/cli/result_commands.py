"""`report` and `compare`: what the records of a result folder say."""

from pathlib import Path
from typing import Annotated

import typer

from ..discovery.registry import suites
from .completion import labels
from .options import FolderArgument, JsonOption, SuiteOption
from .output import announce, print_json


def report(
    folder: FolderArgument,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Where to (FOLDER/report unless given).")] = None,
) -> None:
    """Tables on the terminal, and the page, Markdown, CSV and LaTeX in files.

    Of a folder of result folders: RESULTS.md and its pictures, for a repository.
    """
    announce(f"reading the records of {folder}")
    from ..summary import write_report
    from ..write_results import is_collection, write_results

    write = write_results if is_collection(folder) else write_report
    write(folder, out or folder / "report")


def compare(
    folder: FolderArgument,
    first: Annotated[str, typer.Argument(metavar="A", help="Row label.", autocompletion=labels)],
    second: Annotated[str, typer.Argument(metavar="B", help="Row label.", autocompletion=labels)],
    suite: SuiteOption = None,
    json: JsonOption = False,
) -> None:
    """Row A against row B: paired differences on the same task and seed, with intervals and corrected p-values."""
    announce(f"comparing {first} with {second}", err=True)
    from ..summary import compare_document, compare_rows

    names = suite or list(suites())
    if json:
        print_json(compare_document(folder, first, second, names))
    else:
        compare_rows(folder, first, second, names)
