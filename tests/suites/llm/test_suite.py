"""The suite's constants fit its tasks and methods."""

from sparsebench.suites.llm.suite import SUITE
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import entries


def test_groups_and_their_baselines() -> None:
    groups = {load_task(entry).group for entry in entries("task", "llm").values()}
    assert SUITE.group_baselines.keys() <= groups


def test_baselines_are_methods() -> None:
    methods = {entry.name for entry in entries("method").values()}
    assert {SUITE.baseline, *SUITE.group_baselines.values()} <= methods
