"""`fit` and `predict`: from data of one's own to a row and its model, and predictions with it."""

from pathlib import Path
from typing import Annotated

import typer

from ..interrupts import INTERRUPTED, end_in_order
from .options import BackboneOption, WorkersOption
from .output import announce, say


def fit(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A folder of class folders, a table, or a .jsonl.")],
    out: Annotated[Path | None, typer.Argument(metavar="[OUT]", help="A new folder (fit-NAME unless given).")] = None,
    text: Annotated[str, typer.Option(help="Column of the texts.")] = "",
    label: Annotated[str, typer.Option(help="Column of their classes.")] = "",
    smiles: Annotated[str, typer.Option(help="Column of the molecules.")] = "",
    target: Annotated[list[str] | None, typer.Option(help="Column to predict (may be repeated).")] = None,
    split: Annotated[str, typer.Option(help="Column or field that says train, val or test.")] = "",
    backbone: BackboneOption = None,
    seeds: Annotated[int, typer.Option(min=1, help="Of the rows that a seed changes.")] = 3,
    workers: WorkersOption = None,
) -> None:
    """Compare rows on data of yours, recommend one and say how sure that is, and save its model in OUT.

    DATA is a folder with a folder of images for each class, below train, val and test or not; a table (.csv, .tsv,
    .parquet) of texts with a label; a table, .smi or .sdf of molecules with numbers, yes or no, or classes; or a .jsonl
    of conversations, whose answers are learnt. Columns are guessed where one alone can be meant. Rows choose their
    options on the validation part, and the recommendation is made there, too; the test part is scored once. Some
    minutes on two cores for up to 2,000 examples, conversations take longer. The same command goes on where it was
    stopped.
    """
    announce(f"looking at {data}")
    from ..console import open_console
    from ..fit.fitting import fit as fit_data

    end_in_order()
    try:
        found = fit_data(
            data,
            out,
            text=text,
            label=label,
            smiles=smiles,
            targets=target or (),
            split=split,
            backbones=backbone or (),
            seeds=seeds,
            workers=workers,
            console=open_console(),
        )
    except KeyboardInterrupt:
        say("sparsebench: stopped; the same command goes on from here", err=True)
        raise typer.Exit(INTERRUPTED) from None
    say(f"written to {found.folder}; sparsebench predict {found.folder} NEW_DATA")


def predict(
    fitted: Annotated[Path, typer.Argument(metavar="OUT", help="The folder that fit made.")],
    data: Annotated[
        Path, typer.Argument(metavar="NEW_DATA", help="A table, a .jsonl, a folder of images, or one image.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A new .csv or .parquet (NAME-predictions.csv unless given)."),
    ] = None,
) -> None:
    """Predict new data with the row that fit saved: a row for each row that came in, with status and reason.

    Nothing is dropped: a row that cannot be read has no prediction and says why. Exit code 1 if no row has one.
    """
    announce(f"reading {fitted}")
    from ..fit.predicting import check_out, write_predictions
    from ..fit.predicting import predict as predict_data
    from ..fit.saved import read_description

    place = out or Path(f"{data.resolve().name.partition('.')[0]}-predictions.csv")
    check_out(place)
    frame = predict_data(fitted, data)
    write_predictions(frame, place)
    counts = frame["status"].value_counts()
    counted = ", ".join(f"{count} {status}" for status, count in counts.items())
    if "inputs" in frame.attrs:
        counted += f" of column {frame.attrs['inputs']!r}"
    say(f"{counted}; written to {place}")
    names = [f"row {row}" for row in range(1, len(frame) + 1)]
    if read_description(fitted).kind == "images":
        names = list(frame["file"])
    said = zip(names, frame["status"], frame["reason"], strict=True)
    bad = [f"{name}: {status}: {reason}" for name, status, reason in said if status != "ok"]
    for line in bad[:5]:
        say(line)
    if len(bad) == len(frame):
        raise typer.Exit(1)
