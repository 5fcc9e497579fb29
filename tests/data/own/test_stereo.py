"""What hangs on stereo alone; the words are tested in `tests/suites/runner/fit/test_about_table.py`."""

from pathlib import Path

from sparsebench.data.own.columns import Columns
from sparsebench.data.own.labelled import learnable
from sparsebench.data.own.stereo import Stereo, stereo_of
from sparsebench.data.own.tables import read_table

LINES = [
    *("C[C@H](N)C(=O)O,1", "N[C@H](C)C(=O)O,2", "nonsense,3"),  # the two hands of one molecule
    *("C/C=C/C,3", "C/C=C\\C,3"),  # of equal value
    *("C[C@H](O)F,5", "O[C@@H](C)F,6"),  # one molecule: two measurements of it
    *("C[C@H](C)C,4", "[2H][C@H](O)F,7", "O[C@H](Cl)F,8"),  # no stereo, and two that differ in more
]


def test_molecules_that_differ_in_stereo_alone_and_in_their_values(tmp_path: Path) -> None:
    lines = [*LINES, *(f"{'C' * (number + 5)}O,{number}" for number in range(8))]
    parts = ["train", "val", "test"]
    rows = [f"{line},{parts[number // 8]}" for number, line in enumerate(lines)]
    (tmp_path / "a.csv").write_text("SMILES,y,split\n" + "\n".join(rows) + "\n")
    found = learnable(read_table(tmp_path / "a.csv"), "molecules", Columns("SMILES", ("y",), "split"))
    assert stereo_of(found) == Stereo(8, ("rows 1, 2 (CC(N)C(=O)O)",)), "a sign that means nothing is no stereo"
    assert found.places == (0, 1, *range(3, len(lines))) and found.conflicting == ("rows 6, 7 (C[C@H](O)F)",)
