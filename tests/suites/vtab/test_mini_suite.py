"""The mini suite: its table agrees with its data, and it runs by the protocol."""

import numpy as np
import pytest

from sparsebench.data.vision.splits import Images, VisionSplits
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import entries, find
from sparsebench.suites.vtab import mini_suite
from sparsebench.suites.vtab.backbones import tiny
from sparsebench.suites.vtab.mini_suite import DATA, MiniTask

ROWS = {name: entry for name, entry in entries("task", "vtab").items() if name.startswith("mini_")}


def test_each_row_has_data_and_each_group_has_tasks() -> None:
    assert set(ROWS) == set(DATA)
    groups = [entry.row["group"] for entry in ROWS.values() if entry.row is not None]
    assert {group: groups.count(group) for group in groups} == {"natural": 2, "specialized": 2, "structured": 2}


FETCHED = [pytest.param(name, marks=pytest.mark.data) for name in ("mini_clothing", "mini_textile")]


@pytest.mark.parametrize("name", ["mini_wafers", "mini_digits", "mini_location", "mini_orientation", *FETCHED])
def test_labels_and_sizes(name: str) -> None:
    task = load_task(find("task", name, "vtab"))
    assert isinstance(task, MiniTask)
    splits = task.load()
    assert [len(part.targets) for part in (splits.train, splits.val)] == [800, 200]
    assert len(splits.test.targets) == {"mini_digits": 797, "mini_textile": 1000}.get(name, 2000)
    for part in (splits.train, splits.test):
        assert np.unique(part.targets).tolist() == list(range(task.target.outputs))


def test_a_task_runs_by_the_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)

    def part(count: int) -> Images:
        labels = np.arange(count) % 3
        images = rng.integers(0, 60, size=(count, 16, 16, 3)) + 60 * labels[:, None, None, None]
        return Images(images.astype(np.uint8), labels)

    monkeypatch.setitem(mini_suite.DATA, "mini_textile", lambda: VisionSplits(part(40), part(12), part(30)))
    task = load_task(find("task", "mini_textile", "vtab"))
    context = Context(suite="vtab", task="mini_textile", seed=0, budget=Budget(epochs=1, batch_size=8))
    outcome = task.run([LinearProbe(penalties=(0.01, 1.0))], tiny.load, context)
    assert outcome.metrics["accuracy"].n == 30 and outcome.metrics["accuracy"].value > 0.9
    assert outcome.details["protocol"]["rows"] == 52
    assert outcome.details["protocol"]["inputs"].startswith("16 x 16")
    assert len(outcome.details["choice"]["trials"]) == 2
