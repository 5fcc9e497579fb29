"""A file read in parts is the file read at once, and what is wrong with it is said before."""

import gzip
from pathlib import Path

import pandas as pd

from sparsebench.data.own.molecule_files import open_molecules

from .test_tables import SDF

SMILES = ["CCO", "", "C1CC", "N", "O", "c1ccccc1", "CN"]


def texts(file: Path, rows: int, column: str = "") -> list[list[str]]:
    return [list(part.smiles) for part in open_molecules(file, column).parts(rows)]


def test_every_form_gives_the_same_parts(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": range(7), "SMILES": SMILES})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.tsv.gz", index=False, sep="\t")
    frame.to_parquet(tmp_path / "a.parquet", row_group_size=2)
    frame.set_index("SMILES").to_parquet(tmp_path / "index.parquet", row_group_size=2)
    parts = [SMILES[:3], SMILES[3:6], SMILES[6:]]
    for name in ("a.csv", "a.tsv.gz", "a.parquet", "index.parquet"):
        assert texts(tmp_path / name, 3) == parts, name
    lines = "smiles name\nCCO a\n\nCN b\nC\n"
    (tmp_path / "a.txt").write_text(lines)
    (tmp_path / "a.smi.gz").write_bytes(gzip.compress(lines.encode()))
    assert texts(tmp_path / "a.txt", 2) == texts(tmp_path / "a.smi.gz", 2) == [["CCO", "CN"], ["C"]]
    assert texts(tmp_path / "a.txt", 9, "name") == [["a", "b", ""]]


def test_a_broken_record_keeps_its_row_in_a_part_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.sdf").write_text(SDF)
    found = open_molecules(tmp_path / "a.sdf")
    assert (found.rows, found.column) == (2, "molecule")
    assert [(part.smiles, list(part.broken)) for part in found.parts(1)] == [(("O",), []), (("",), [0])]
