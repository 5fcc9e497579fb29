"""A table in its parts: every row is in one, or is listed with the reason."""

import json
from pathlib import Path

import pytest

from sparsebench.data.errors import LocalFolderError, TableError
from sparsebench.data.labelled.dealt import PARTS
from sparsebench.data.molecules import scaffold
from sparsebench.data.molecules.scaffold import scaffold_of
from sparsebench.data.own.columns import Columns
from sparsebench.data.own.labelled import dealt_again, learnable, own_table
from sparsebench.data.own.tables import read_table

NONE = Columns("", ())
RINGS = (
    "c1ccccc1",
    "C1CCCCC1",
    "c1ccncc1",
    "C1CCNCC1",
    "c1ccoc1",
    "c1ccsc1",
    "C1CCCC1",
    "C1CCOC1",
    "c1cc[nH]c1",
    "C1CC1",
)


def molecules(folder: Path, more: str = "") -> Path:
    """Forty molecules of ten scaffolds, and further lines."""
    folder.mkdir(exist_ok=True)
    lines = [f"{'C' * length}{ring},{length}.5" for ring in RINGS for length in range(1, 5)]
    file = folder / "mine.csv"
    file.write_text("SMILES,logS\n" + "\n".join(lines) + "\n" + more)
    return file


def test_no_scaffold_is_in_two_parts_and_bad_rows_are_listed(tmp_path: Path) -> None:
    found = learnable(read_table(molecules(tmp_path, "nonsense,1\n,2\nCCO,\nCC,>3\n")), "molecules", NONE)
    assert found.columns == Columns("SMILES", ("logS",)) and found.goal == "regression"
    scaffolds = [{scaffold_of(found.inputs[row]) for row in found.rows(part)} for part in PARTS]
    assert all(scaffolds) and sum(map(len, scaffolds)) == len(RINGS) == len(set.union(*scaffolds))
    reasons = {one.row: one.reason for one in found.rejected}
    assert list(reasons) == ["row 41", "row 42", "row 43", "row 44"]
    assert reasons["row 41"] == "RDKit cannot read 'nonsense': not a SMILES string"
    assert reasons["row 42"] == "no SMILES" and reasons["row 43"] == "no value"
    assert reasons["row 44"] == "'>3' is no finite number of 32 bits"


def test_a_text_stands_in_one_part_and_under_one_label(tmp_path: Path) -> None:
    lines = [f"word{number} {label},{label}" for number in range(6) for label in ("yes", "no")]
    lines += ["WORD0  yes,yes", "both,yes", "Both,no", ",yes", "nothing,"]
    (tmp_path / "a.csv").write_text("text,label\n" + "\n".join(lines))
    found = learnable(read_table(tmp_path / "a.csv"), "text", NONE)
    assert found.classes == ("no", "yes") and len(found.inputs) == 12
    reasons = {one.row: one.reason for one in found.rejected}
    assert reasons == {
        "row 13": "the same text as row 1",
        "row 14": "rows 14, 15 are one text, two labels",
        "row 15": "rows 14, 15 are one text, two labels",
        "row 16": "no text",
        "row 17": "no label",
    }


def test_a_split_of_the_user_s_wins_and_a_copy_stays_where_it_is_tested(tmp_path: Path) -> None:
    parts = ["train"] * 6 + ["val"] * 4 + ["test"] * 4
    lines = [f"word{number},{'ab'[number % 2]},{part}" for number, part in enumerate(parts)]
    (tmp_path / "a.csv").write_text("text,label,split\n" + "\n".join([*lines, "word12,a,train"]))
    found = learnable(read_table(tmp_path / "a.csv"), "text", NONE)
    assert list(found.parts) == parts
    assert [(one.row, one.reason) for one in found.rejected] == [("row 15", "the same text as row 13")]


def test_a_molecule_that_is_tested_is_not_trained_on(tmp_path: Path) -> None:
    lines = ["CCO,1,train", "CCC,2,train", "CCN,3,train", "CO,4,val", "CN,5,val", "OCC,6,test", "CCCC,7,test"]
    (tmp_path / "a.csv").write_text("smiles,y,split\n" + "\n".join(lines))
    found = learnable(read_table(tmp_path / "a.csv"), "molecules", NONE)
    assert [(one.row, one.reason) for one in found.rejected] == [
        ("row 1", "the same molecule as row 6, which is in test")
    ]


def test_the_folder_is_read_again_when_a_value_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARSEBENCH_OWN_MOLECULES", raising=False)
    with pytest.raises(LocalFolderError, match="set SPARSEBENCH_OWN_MOLECULES"):
        own_table("molecules")
    monkeypatch.setenv("SPARSEBENCH_OWN_MOLECULES", str(tmp_path))
    file = molecules(tmp_path)
    first = own_table("molecules")
    assert own_table("molecules") is first
    file.write_text(file.read_text().replace("1.5", "9.5"))
    assert own_table("molecules").values.max() == 9.5
    (tmp_path / "columns.json").write_text(json.dumps({"input": "SMILES", "targets": ["logP"]}))
    with pytest.raises(TableError, match="no column 'logP'"):
        own_table("molecules")
    (tmp_path / "other.csv").write_text("x\n")
    with pytest.raises(TableError, match="has 2 tables"):
        own_table("molecules")


def test_scaffolds_are_found_once_for_all_splits_of_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = learnable(read_table(molecules(tmp_path, "CCCCCCCCO,1\n")), "molecules", NONE)
    monkeypatch.setattr(scaffold, "scaffold_groups", lambda inputs: pytest.fail("the scaffolds were known"))
    parts = [dealt_again(table, number).parts for number in range(3)]
    assert parts[0] == table.parts and len(set(parts)) == 3
