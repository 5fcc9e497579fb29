"""New molecules of a seed, with what RDKit measures of them."""

import csv
from pathlib import Path

import pytest

from sparsebench.data.molecules.properties import properties
from sparsebench.models.errors import ModelError
from sparsebench.suites.molecules.verbs.generating import generate_file, read_wanted


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
    assert float(row["logp"]) == pytest.approx(properties(row["smiles"])[0], rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("text", ["logp", "logp=", "=1", "logp=nan", "logp=inf", "logp=much"])
def test_a_wanted_value_is_a_finite_number(text: str) -> None:
    with pytest.raises(ModelError, match=r"must be as logp=2\.5"):
        read_wanted([text])


def test_nothing_is_written_of_what_is_refused(model_folder: Path, tmp_path: Path) -> None:
    assert read_wanted(["logp=2.5", "qed=0.5"]) == {"logp": 2.5, "qed": 0.5}
    with pytest.raises(ModelError, match="given twice"):
        read_wanted(["a=1", "a=2"])
    with pytest.raises(ModelError, match="'C1CC' cannot be used"):
        generate_file(2, tmp_path / "a.csv", scaffold="C1CC", model=model_folder)
    with pytest.raises(ModelError, match="is not one of logp"):
        generate_file(2, tmp_path / "a.csv", wanted={"qed": 1.0}, model=model_folder)
    assert list(tmp_path.iterdir()) == []
