"""A user's molecules, split anew for each seed."""

from pathlib import Path

import pytest

from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.methods.baselines.constant import Constant
from sparsebench.suites.molecules.backbones import ecfp4
from sparsebench.suites.molecules.tasks.own_molecules import OwnMolecules
from sparsebench.suites.molecules.tasks.own_molecules_splits import OwnMoleculesSplits

RINGS = ("c1ccccc1", "C1CCCCC1", "c1ccncc1", "C1CCNCC1", "c1ccoc1", "c1ccsc1", "C1CCCC1", "C1CCOC1", "C1CC1", "C1COC1")


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARSEBENCH_OWN_MOLECULES", str(tmp_path))
    lines = [f"{'C' * length}{ring},{length}.5" for ring in RINGS for length in range(1, 5)]
    file = tmp_path / "mine.csv"
    file.write_text("SMILES,logS\n" + "\n".join(lines) + "\n")
    return file


def test_each_seed_has_a_split_and_seed_0_that_of_own_molecules(table: Path, make_context) -> None:
    task = OwnMoleculesSplits()
    tested = [tuple(task.parts_of(make_context(seed=seed)).test.inputs) for seed in range(3)]
    assert tested[0] == tuple(OwnMolecules().load().test.inputs) and len(set(tested)) == 3
    outcome = task.run([Constant()], ecfp4.load, make_context(seed=1))
    assert outcome.split == (40, len(tested[1])) and outcome.metrics["rmse"].n == len(tested[1])
    assert outcome.details["own data"]["test"] == len(tested[1])


def test_a_table_that_names_its_parts_has_no_other_split(table: Path, make_context) -> None:
    first, *lines = table.read_text().splitlines()
    parts = ["train", "val", "test", "train"]
    named = [f"{line},{parts[number % 4]}" for number, line in enumerate(lines)]
    table.write_text("\n".join([f"{first},split", *named]) + "\n")
    with pytest.raises(NotApplicable, match="'split' names the parts"):
        OwnMoleculesSplits().parts_of(make_context(seed=0))
