"""The suite's constants fit its tasks and methods."""

from sparsebench.suites.llm.suite import SUITE
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import entries
from sparsebench.suites.runner.planning.profile import load_profile


def test_groups_and_their_baselines() -> None:
    groups = {load_task(entry).group for entry in entries("task", "llm").values()}
    assert SUITE.group_baselines.keys() <= groups


def test_baselines_are_methods_or_rows_of_the_quick_profile() -> None:
    methods = {entry.name for entry in entries("method").values()}
    rows = {row.label for row in load_profile("quick", ["llm"]).plans[0].methods}
    assert {SUITE.baseline, *SUITE.group_baselines.values()} <= methods | rows
