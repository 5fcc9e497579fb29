"""The suite's constants fit its tasks and backbones."""

from sparsebench.suites.molecules.suite import SUITE
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import entries

from ..reasons import reason


def test_groups_with_an_own_baseline_are_those_of_the_generation_tasks() -> None:
    generated = set()
    for entry in entries("task", "molecules").values():
        task = load_task(entry)
        if reason(task, "molecules", "graphsgpt") is None:
            generated.add(task.group)
    assert set(SUITE.group_baselines) == generated
