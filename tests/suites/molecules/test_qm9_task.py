"""Electronic properties as tasks: from a folder of the user's, and without one."""

from pathlib import Path

import pytest

from sparsebench.data.errors import LocalFolderError
from sparsebench.data.molecules.qm9 import HARTREE, PROPERTIES
from sparsebench.suites.methods.baselines.constant import Constant
from sparsebench.suites.molecules import task
from sparsebench.suites.molecules.backbones import ecfp4
from sparsebench.suites.molecules.qm9_task import QM9Task
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import entries, find

VARIABLE = "SPARSEBENCH_QM9_LABELS"


def test_every_property_is_a_task_of_both_places() -> None:
    known = entries("task", "molecules")
    for name in PROPERTIES:
        for prefix, source in (("qm9_micro", "graphium"), ("qm9", "qm9-labels")):
            found = load_task(known[f"{prefix}_{name}"])
            assert isinstance(found, QM9Task) and found.column == name and found.sources == (source,)


def test_a_copy_of_the_user_s_is_split_and_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_context
) -> None:
    gap = load_task(find("task", "qm9_gap", "molecules"))
    assert isinstance(gap, QM9Task)
    monkeypatch.delenv(VARIABLE, raising=False)
    task._read.cache_clear()  # type: ignore[attr-defined]
    with pytest.raises(LocalFolderError, match=VARIABLE):
        gap.load()
    rings = ("C1CC1", "C1CCC1", "C1CCCC1", "C1CCCCC1", "C1CO1", "C1COC1", "C1CCOC1", "C1CN1", "C1CNC1", "c1ccoc1")
    lines = [f"{'C' * length}{ring},0.{length}" for ring in rings for length in range(1, 4)]
    (tmp_path / "qm9.csv").write_text("smiles,gap\n" + "\n".join(lines) + "\n")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    outcome = gap.run([Constant()], ecfp4.load, make_context(seed=3))
    assert outcome.metrics["rmse"].unit == "eV" and 0.05 * HARTREE < outcome.metrics["rmse"].value < 0.15 * HARTREE
    assert outcome.split is not None and outcome.split.rows == 30
    task._read.cache_clear()  # type: ignore[attr-defined]
