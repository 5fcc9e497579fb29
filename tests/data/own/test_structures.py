"""A user's molecules for a generator: each once, in one part, whatever else their table has."""

from pathlib import Path

import pytest

from sparsebench.data.errors import TableError
from sparsebench.data.own.columns import Columns
from sparsebench.data.own.structures import own_structures, structures
from sparsebench.data.own.tables import read_table

NONE = Columns("", ())
CHAINS = ["C" * length + end for length in range(1, 11) for end in ("O", "N")]


def written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def test_each_molecule_is_in_one_part_and_other_rows_are_listed(tmp_path: Path) -> None:
    lines = [*CHAINS, "OCC", "nonsense", "C[C@H](F)Cl", "C[C@@H](F)Cl"]
    found = own_structures(written(tmp_path / "mine.smi", "\n".join(lines) + "\n").parent)
    everything = [*found.train, *found.test]
    assert len(everything) == len(set(everything)) == 21 and set(everything) == {*CHAINS, "CC(F)Cl"}
    assert len(found.test) == 4 and everything != sorted(everything, key=len), "a fifth, at random"
    assert [(one.row, one.reason.partition(":")[0]) for one in found.rejected] == [
        ("row 21", "the same molecule, but for stereo and isotopes, as row 3"),
        ("row 22", "RDKit cannot read 'nonsense'"),
        ("row 24", "the same molecule, but for stereo and isotopes, as row 23"),
    ]


def test_parts_that_are_named_win_and_validation_stays_out(tmp_path: Path) -> None:
    rows = [f"{text},{part}" for text, part in zip(CHAINS, ("train", "val", "test", "train") * 5, strict=True)]
    table = read_table(written(tmp_path / "mine.csv", "\n".join(["structure,fold", *rows])))
    found = structures(table, Columns("", (), "fold"))
    assert set(found.train) == {*CHAINS[::4], *CHAINS[3::4]} and set(found.test) == set(CHAINS[2::4])
    assert [one.row for one in found.rejected] == [f"row {row}" for row in range(2, 21, 4)]
    with pytest.raises(TableError, match="no column 'part'"):
        structures(table, Columns("", (), "part"))
    few = read_table(written(tmp_path / "few.csv", "smiles\nC\nCC\nCCC\nCCCC\n"))
    with pytest.raises(TableError, match="are 3 to train on and 1 to compare with"):
        structures(few, NONE)
