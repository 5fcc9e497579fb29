"""Inputs that stand in several rows; texts, and molecules whose parts are named, are in `test_labelled.py`, too."""

from pathlib import Path

from sparsebench.data.own.columns import Columns
from sparsebench.data.own.labelled import learnable
from sparsebench.data.own.repeated import in_a_later_part, same_molecules
from sparsebench.data.own.tables import read_table

from .test_labelled import molecules

NONE = Columns("", ())


def test_rows_of_one_molecule_are_found_by_its_canonical_form() -> None:
    same = same_molecules(["CCO", "nonsense", "OCC", "CC", "C[C@H](O)F", "C[C@@H](O)F"], {1: "no molecule"})
    assert same == [[0, 2]]
    assert in_a_later_part(same, ["val", "train", "train", "test", "train", "test"]) == {
        2: "the same molecule as row 1, which is in val"
    }


def test_a_molecule_with_several_values_is_in_one_part_and_named(tmp_path: Path) -> None:
    found = learnable(read_table(molecules(tmp_path, "c1ccccc1C,7\nc1ccccc1CC,2.5\n")), "molecules", NONE)
    assert found.conflicting == ("rows 1, 41 (Cc1ccccc1)",), "rows 2 and 42 have one value"
    assert not found.rejected and found.parts[0] == found.parts[40]


def test_a_part_that_is_not_named_takes_all_rows_of_a_molecule(tmp_path: Path) -> None:
    """Three spellings of each: dealt row by row, some would be trained on and validated on."""
    pairs = [(f"{'C' * length}O", f"O{'C' * length}", f"[CH3]{'C' * (length - 1)}O") for length in range(2, 32)]
    lines = [f"{text},{number},train" for number, pair in enumerate(pairs) for text in pair]
    (tmp_path / "a.csv").write_text("smiles,y,split\n" + "\n".join([*lines, "CCN,1,test", "CCCN,2,test"]))
    found = learnable(read_table(tmp_path / "a.csv"), "molecules", NONE)
    parts = {number: set() for number in range(30)}
    for number, part in zip(found.values[:90, 0], found.parts, strict=False):
        parts[int(number)].add(part)
    assert all(len(own) == 1 for own in parts.values()) and set.union(*parts.values()) == {"train", "val"}
