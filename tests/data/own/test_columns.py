"""Columns are guessed where one alone can be meant, else one line asks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparsebench.data.errors import TableError
from sparsebench.data.own.columns import Columns, choose_columns, input_column
from sparsebench.data.own.tables import Table

NONE = Columns("", ())


def table(**columns: Any) -> Table:
    return Table(Path("file.csv"), {name: tuple(values) for name, values in columns.items()})


def test_guesses() -> None:
    molecules = table(ID=["1", "2"], SMILES=["C", "CC"], logS=["1.5", "2"], note=["x", "y"])
    assert choose_columns(molecules, "molecules", NONE) == Columns("SMILES", ("logS",))
    texts = table(text=["a", "b"], label=["x", "y"], split=["train", "test"])
    assert choose_columns(texts, "text", NONE) == Columns("text", ("label",), "split")
    assert choose_columns(table(what=["a", "b"], label=["x", "y"]), "text", NONE).input == "what"
    indexed = replace(table(smiles=["C", "CC"], tox=["yes", "no"], mol_id=["1", "2"]), index=("mol_id",))
    assert choose_columns(indexed, "molecules", NONE).targets == ("tox",), "and not what was the index of a frame"
    no_parts = table(text=["a", "b"], label=["x", "y"], split=["1", "2"])
    assert choose_columns(no_parts, "text", NONE).split == ""
    assert input_column(table(id=["1"], words=["a"]), "text") == "words"
    one_is_missing = table(text=["a", "b", "c"], label=["x", "y", "x"], split=["train", "test", ""])
    assert choose_columns(one_is_missing, "text", NONE).split == "split", "the user's parts were passed over"


@pytest.mark.parametrize(
    ("kind", "columns", "given", "message"),
    [
        ("molecules", {"smiles": "C", "a": "1", "b": "2"}, NONE, r"--target \(once for each\) with one of 'a', 'b'"),
        ("molecules", {"m": "C", "a": "1"}, NONE, "--smiles with one of 'm', 'a'|--smiles with one of"),
        ("molecules", {"smiles": "C"}, NONE, "no column to predict"),
        ("text", {"text": "a", "x": "1", "z": "2"}, NONE, "--label with one of 'x', 'z'"),
        ("text", {"text": "a", "label": "b"}, Columns("txt", ()), "no column 'txt'; did you mean text"),
        ("text", {"text": "a", "label": "b"}, Columns("text", ("text",)), "'text' cannot be two things"),
    ],
)
def test_what_cannot_be_guessed_is_asked_for(kind: Any, columns: Any, given: Columns, message: str) -> None:
    with pytest.raises(TableError, match=message):
        choose_columns(table(**columns), kind, given)
