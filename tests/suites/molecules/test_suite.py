"""The suite's constants fit its tasks and backbones."""

from sparsebench.suites.contracts.traits import Backbone
from sparsebench.suites.molecules.families import GENERATOR
from sparsebench.suites.molecules.suite import SUITE
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import entries


def test_groups_with_an_own_baseline_are_those_of_the_generation_tasks() -> None:
    generated = set()
    for entry in entries("task", "molecules").values():
        task = load_task(entry)
        if task.unsupported(Backbone("any", GENERATOR)) is None:
            generated.add(task.group)
    assert set(SUITE.group_baselines) == generated


def test_baselines_are_methods() -> None:
    methods = {entry.name for entry in entries("method").values()}
    assert {SUITE.baseline, *SUITE.group_baselines.values()} <= methods
