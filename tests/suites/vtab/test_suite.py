"""The suite's constants fit its tasks and methods."""

from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import entries
from sparsebench.suites.vtab.suite import SUITE


def test_groups_and_their_baselines() -> None:
    assert SUITE.group_baselines == {}
    groups = {load_task(entry).group for entry in entries("task", "vtab").values()}
    assert {"natural", "specialized", "structured"} <= groups, "the groups of VTAB"


def test_baselines_are_methods() -> None:
    methods = {entry.name for entry in entries("method").values()}
    assert {SUITE.baseline, *SUITE.group_baselines.values()} <= methods
