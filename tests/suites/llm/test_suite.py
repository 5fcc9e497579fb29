"""The suite's constants fit its tasks and methods."""

from sparsebench.suites.llm.suite import SUITE
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import entries
from sparsebench.suites.runner.planning.profile import load_profile


def test_groups_and_their_baselines() -> None:
    groups = {load_task(entry).group for entry in entries("task", "llm").values()}
    assert SUITE.group_baselines.keys() <= groups


def test_baselines_are_methods_or_rows_of_the_quick_profile() -> None:
    """Or of the one that has the task of own conversations."""
    methods = {entry.name for entry in entries("method").values()}
    profiles = [load_profile(name, ["llm"]) for name in ("quick", "fit-conversations")]
    rows = {row.label for profile in profiles for row in profile.plans[0].methods}
    assert {SUITE.baseline, *SUITE.group_baselines.values()} <= methods | rows
