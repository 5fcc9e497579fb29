"""What is known of tasks and backbones before anything is loaded."""

import pytest

from sparsebench.suites.contracts.task import Task
from sparsebench.suites.contracts.traits import Backbone, TaskTraits
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import entries, suites


def test_a_task_promises_nothing_by_default() -> None:
    assert (TaskTraits.group, TaskTraits.sources) == ("", ())
    assert not (TaskTraits.trains or TaskTraits.new_head or TaskTraits.draws)
    assert issubclass(Task, TaskTraits)


def test_a_backbone_whose_family_depends_on_its_argument_has_none() -> None:
    assert Backbone("timm:resnet18") == Backbone("timm:resnet18", "") != Backbone("tiny", "transformer")


@pytest.mark.parametrize("suite", sorted(suites()))
def test_every_task_has_a_version_and_only_tasks_that_train_get_a_new_head(suite: str) -> None:
    for entry in entries("task", suite).values():
        task = load_task(entry)
        assert task.version, entry.name
        assert task.trains or not task.new_head, entry.name
