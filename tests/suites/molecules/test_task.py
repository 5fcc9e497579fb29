"""Molecule tasks: parts without a common scaffold, sizes, units, and the folder that the user must give."""

import os

import numpy as np
import pytest

from sparsebench.data.errors import LocalFolderError
from sparsebench.data.molecules.scaffold import scaffold_of, scaffold_split
from sparsebench.data.sources import source
from sparsebench.suites.contracts.context import Target
from sparsebench.suites.methods.baselines.constant import Constant
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.molecules import task
from sparsebench.suites.molecules.backbones import ecfp4
from sparsebench.suites.molecules.synthetic_molecules import COUNT
from sparsebench.suites.molecules.task import MoleculeTask
from sparsebench.suites.molecules.tasks.b3db import B3DB
from sparsebench.suites.molecules.tasks.freesolv import FreeSolv
from sparsebench.suites.molecules.tasks.solubility import Solubility
from sparsebench.suites.molecules.tasks.synthetic import Synthetic
from sparsebench.suites.prediction.data import Splits, sample_rows
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import entries, find


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


def test_each_seed_has_a_split_of_its_own_and_that_of_seed_0_is_the_one_of_before(make_context) -> None:
    smiles = Synthetic().table().smiles
    tested = []
    for seed in (0, 1, 2):
        found = Synthetic().parts_of(make_context(seed=seed))
        expected = scaffold_split(smiles, balanced=seed)
        for part, rows in zip(parts(found), expected, strict=True):
            assert list(part.inputs) == [smiles[row] for row in rows]
        check_scaffolds(found)
        tested.append(frozenset(found.test.inputs))
    assert Synthetic().load() is Synthetic().parts_of(make_context())
    assert len(set(tested)) == 3 and tested[0] != frozenset(smiles[row] for row in scaffold_split(smiles).test)


def test_rows_share_the_split_of_a_seed_and_the_record_knows_its_size(make_context) -> None:
    """A row that no seed changes is another one on each split."""
    context = make_context(seed=1, test_examples=9)
    one, other, elsewhere = (
        Synthetic().run([method], ecfp4.load, where)
        for method, where in ((Constant(), context), (LinearProbe(), context), (Constant(), make_context(seed=2)))
    )
    assert one.examples["target"] == other.examples["target"] != elsewhere.examples["target"]
    assert one.split == (COUNT, 9) and elsewhere.split is not None and elsewhere.split.test > 9
    assert one.metrics["rmse"].value != elsewhere.metrics["rmse"].value
    whole = Synthetic().parts_of(context).test.targets
    rows = sample_rows(len(whole), 9)
    assert rows != list(range(9)), "tables are often one source after the other"
    np.testing.assert_allclose(one.examples["target"], whole[rows], rtol=1e-4)


MOLECULENET = {
    "bace": (1513, 1),
    "bbbp": (2039, 1),
    "clintox": (1478, 2),
    "esol": (1128, 1),
    "hiv": (41127, 1),
    "lipophilicity": (4200, 1),
    "muv": (93087, 17),
    "sider": (1427, 27),
    "tox21": (7831, 12),
    "toxcast": (8576, 617),
}
"""Rows of the files, and labels."""


def test_every_moleculenet_set_has_a_task():
    found = {entry.name for entry in entries("task", "molecules").values() if entry.sources == ("moleculenet",)}
    assert found == set(MOLECULENET)
    assert len(found) + 1 == len(source("moleculenet").paths), "FreeSolv comes from another source"


def test_equal_tasks_are_split_once_and_rows_of_a_table_are_not_equal() -> None:
    assert Synthetic() == Synthetic() and Synthetic().load() is Synthetic().load()
    one, again, other = (load_task(find("task", name, "molecules")) for name in ("bace", "bace", "bbbp"))
    assert one == again != other
    for name, (_, labels) in MOLECULENET.items():
        loaded = load_task(find("task", name, "molecules"))
        assert isinstance(loaded, MoleculeTask) and loaded.target.outputs == labels and loaded.version == "3"


@pytest.mark.skipif("SPARSEBENCH_MOLECULENET" not in os.environ, reason="needs the user's folder")
@pytest.mark.parametrize("name", ["bace", "clintox", "esol", "toxcast"])
def test_moleculenet_splits(name: str):
    found = load_task(find("task", name, "molecules"))
    assert isinstance(found, MoleculeTask) and found.version == "3"
    rows, labels = MOLECULENET[name]
    assert found.target.outputs == labels
    check_sizes(found.load(), rows)
    check_scaffolds(found.load())
    assert not np.isnan(found.load().train.targets).all(axis=0).any(), "a label without a training example"


def test_a_table_that_does_not_fit_its_task_is_refused():
    class Wrong(Synthetic):
        target = Target("regression", 2)

    with pytest.raises(ValueError, match="synthetic has 1 targets, its task says 2"):
        Wrong().load()


def test_moleculenet_without_the_folder_says_what_to_set(monkeypatch):
    monkeypatch.delenv("SPARSEBENCH_MOLECULENET", raising=False)
    task._read.cache_clear()  # type: ignore[attr-defined]
    task._split.cache_clear()  # type: ignore[attr-defined]
    tox21 = load_task(find("task", "tox21", "molecules"))
    assert isinstance(tox21, MoleculeTask)
    with pytest.raises(LocalFolderError, match="SPARSEBENCH_MOLECULENET"):
        tox21.load()


@pytest.mark.data
@pytest.mark.parametrize(("kind", "rows", "unit"), [(FreeSolv, 642, "kcal/mol"), (Solubility, 1282, "log10(mol/L)")])
def test_regression_tasks(kind: type[MoleculeTask], rows: int, unit: str):
    check_sizes(kind().load(), rows)
    check_scaffolds(kind().load())
    assert kind().table().units == (unit,)


@pytest.mark.data
def test_b3db_has_both_classes_in_each_part():
    check_sizes(B3DB().load(), 7805)
    for part in parts(B3DB().load()):
        assert set(np.unique(part.targets)) == {0.0, 1.0}
