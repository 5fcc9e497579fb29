"""`predict`: folders that hold no fitted row, and data that hold nothing to predict."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .catalogue import Case, copied, cut, edited, replaced

NEW: dict[str, str | bytes | None] = {"new.csv": "SMILES\nCCO\n"}


def cell(**values: Any) -> Callable[[Path], object]:
    """The cell in `fit.json` with other values."""

    def change(copy: Path) -> None:
        about = json.loads((copy / "fit.json").read_text())
        (copy / "fit.json").write_text(json.dumps(about | {"cell": about["cell"] | values}))

    return change


def broken(damage: str, says: str, *changes: Callable[[Path], object]) -> Case:
    return Case(damage, "predict fitted new.csv", says, NEW, copied("fitted", *changes))


FOLDERS = [
    Case("no folder", "predict nowhere new.csv", "nowhere holds no fitted row", NEW),
    Case("a folder of something else", "predict {dense} new.csv", "dense holds no fitted row", NEW),
    broken("a description cut off", "fit.json cannot be read", cut("fit.json", 40)),
    broken("a description that is a list", "fit.json is not of the schema", replaced("fit.json", "[]")),
    broken("another schema", "fit.json is not of the schema", edited("fit.json", schema="sparsebench/fit/9")),
    broken("a key too many", "fit.json", edited("fit.json", colour="red")),
    broken("another kind of data", "fit.json", edited("fit.json", kind="video")),
    broken("another goal", "fit.json", edited("fit.json", goal="ranking")),
    broken("targets that are a number", "fit.json", edited("fit.json", targets=3)),
    broken(
        "more targets than outputs",
        "mean and std must have a number for each of the targets",
        edited("fit.json", targets=["a", "b"]),
    ),
    broken("a scale of another length", "fit.json", edited("fit.json", std=[1.0, 1.0, 1.0])),
    broken("a method that there is not", "nosuch", cell(method="nosuch")),
    broken("a backbone that there is not", "nosuch", cell(backbone="nosuch")),
    broken("an option that there is not", "colour", cell(config={"colour": "red"})),
    broken("a cell with a key too many", "fit.json: its cell is none", cell(nonsense=1)),
    broken("no chain in the cell", "fit.json: its cell is none", cell(then=None)),
    broken("a budget that is none", "fit.json, budget", cell(budget={"epochs": "many"})),
    broken("no weights", "model.safetensors is not what fit.json says", replaced("model.safetensors", None)),
    broken("weights cut off", "model.safetensors is not what fit.json says", cut("model.safetensors", 100)),
    broken("weights of nothing", "model.safetensors is not what fit.json says", replaced("model.safetensors", b"")),
]
DATA = [
    Case("no data", "predict {fitted} nowhere.csv", "there is no nowhere.csv"),
    Case("a folder for a table", "predict {fitted} new", "new is a folder: give a table", {"new": None}),
    Case(
        "no column of molecules",
        "predict {fitted} new.csv",
        "new.csv has no column 'SMILES', on which the row was fitted",
        {"new.csv": "a,b\n1,2\n"},
    ),
    Case("a header alone", "predict {fitted} new.csv", "new.csv has no row", {"new.csv": "SMILES\n"}),
    Case("no Parquet", "predict {fitted} new.parquet", "new.parquet cannot be read", {"new.parquet": "SMILES\nCCO\n"}),
    Case("another form", "predict {fitted} new.json", "new.json: a table ends in", {"new.json": "[]"}),
    Case(
        "a file that is there",
        "predict {fitted} new.csv -o old.csv",
        "old.csv is there already",
        {**NEW, "old.csv": "x"},
    ),
    Case("predictions as a workbook", "predict {fitted} new.csv -o p.xlsx", "p.xlsx: predictions are written as", NEW),
    Case("predictions below a file", "predict {fitted} new.csv -o new.csv/p.csv", "new.csv", NEW),
]
CASES = [*FOLDERS, *DATA]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_to_predict_with(case: Case, refused: Callable[[Case], None]) -> None:
    refused(case)
