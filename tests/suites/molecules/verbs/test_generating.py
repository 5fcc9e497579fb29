"""New molecules of a seed, with what RDKit measures of them."""

import csv
from pathlib import Path

import pytest

from sparsebench.data.molecules.properties import properties
from sparsebench.models.graphsgpt.decoding.config import SAMPLED
from sparsebench.suites.molecules.verbs.generating import generate_file


def test_a_seed_gives_the_same_molecules_that_grow_from_the_scaffold(model_folder: Path, tmp_path: Path) -> None:
    files = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        summary, notes = generate_file(
            5,
            tmp_path / f"{name}.csv",
            seed=seed,
            wanted={"logp": 50.0},
            scaffold="C[C@H]1CCNC1",
            model=model_folder,
            batch_size=2,
        )
        files.append((tmp_path / f"{name}.csv").read_bytes())
    assert files[0] == files[1] != files[2]
    assert sum(summary.counts.values()) == 5 and len(notes) == 2
    assert "logp=50 is outside" in notes[0] and "loses its stereo" in notes[1]
    with (tmp_path / "a.csv").open(newline="") as lines:
        row = next(iter(csv.DictReader(lines)))
    assert 1 <= int(row["draws"]) <= 1 + SAMPLED.redraws
    assert float(row["logp"]) == pytest.approx(properties(row["smiles"])[0], rel=1e-5, abs=1e-5)
