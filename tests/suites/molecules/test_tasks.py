"""Molecule tasks: parts without a common scaffold, sizes, units, and the folder that the user must give."""

import numpy as np
import pytest

from sparsebench.data.errors import LocalFolderError
from sparsebench.data.molecules.scaffold import scaffold_of
from sparsebench.suites.context import Target
from sparsebench.suites.molecules.task import MoleculeTask
from sparsebench.suites.molecules.tasks.b3db import B3DB
from sparsebench.suites.molecules.tasks.freesolv import FreeSolv
from sparsebench.suites.molecules.tasks.solubility import Solubility
from sparsebench.suites.molecules.tasks.synthetic import COUNT, Synthetic
from sparsebench.suites.molecules.tasks.tox21 import Tox21
from sparsebench.suites.prediction import Splits


def parts(splits: Splits) -> tuple:
    return splits.train, splits.val, splits.test


def check_sizes(splits: Splits, rows: int) -> None:
    """Each row in one part, about 8:1:1."""
    assert sum(len(part.inputs) for part in parts(splits)) == rows
    assert [len(part.inputs) / rows for part in parts(splits)] == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
    assert all(len(part.inputs) == len(part.targets) for part in parts(splits))


def check_scaffolds(splits: Splits) -> None:
    """No scaffold is in two parts."""
    scaffolds = [set(map(scaffold_of, part.inputs)) for part in parts(splits)]
    assert not scaffolds[0] & scaffolds[1]
    assert not scaffolds[0] & scaffolds[2]
    assert not scaffolds[1] & scaffolds[2]


def test_synthetic_is_fixed_and_split_by_scaffold():
    first, second = Synthetic().table(), Synthetic().table()
    assert first.smiles == second.smiles
    assert len(set(first.smiles)) == COUNT
    np.testing.assert_array_equal(first.targets, second.targets)
    check_sizes(Synthetic().load(), COUNT)
    check_scaffolds(Synthetic().load())


def test_a_table_that_does_not_fit_its_task_is_refused():
    class Wrong(Synthetic):
        target = Target("regression", 2)

    with pytest.raises(ValueError, match="synthetic has 1 targets, its task says 2"):
        Wrong().load()


def test_moleculenet_without_the_folder_says_what_to_set(monkeypatch):
    monkeypatch.delenv("SPARSEBENCH_MOLECULENET", raising=False)
    with pytest.raises(LocalFolderError, match="SPARSEBENCH_MOLECULENET"):
        Tox21().load()


@pytest.mark.data
@pytest.mark.parametrize(("task", "rows", "unit"), [(FreeSolv, 642, "kcal/mol"), (Solubility, 1282, "log10(mol/L)")])
def test_regression_tasks(task: type[MoleculeTask], rows: int, unit: str):
    check_sizes(task().load(), rows)
    check_scaffolds(task().load())
    assert task().table().units == (unit,)


@pytest.mark.data
def test_b3db_has_both_classes_in_each_part():
    check_sizes(B3DB().load(), 7805)
    for part in parts(B3DB().load()):
        assert set(np.unique(part.targets)) == {0.0, 1.0}
