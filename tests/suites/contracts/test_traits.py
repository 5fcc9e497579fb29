"""What is known of tasks and backbones before anything is loaded, and what a loaded backbone shows."""

from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.suites.contracts.task import Task
from sparsebench.suites.contracts.traits import (
    READY_HEAD,
    TRAINING_DATA,
    Backbone,
    TaskTraits,
    missing_reason,
    traits_of,
    unknown_anatomy,
)
from sparsebench.suites.runner.discovery.loading import backbone_loader, load_task
from sparsebench.suites.runner.discovery.registry import Entry, entries, suites

NONE: frozenset[str] = frozenset()


def backbones() -> list[Entry]:
    """All backbones that need no download and no argument, and of which some training has been shipped."""
    found = []
    for suite in sorted(suites()):
        for entry in entries("backbone", suite).values():
            shipped = entry.constant("SHA256", "one file") != {}
            if shipped and not entry.sources and not entry.constant("NEEDS_ARGUMENT", False):
                found.append(entry)
    return found


def test_a_task_promises_nothing_by_default() -> None:
    assert (TaskTraits.group, TaskTraits.sources) == ("", ())
    assert not (TaskTraits.gives or TaskTraits.needs or TaskTraits.draws)
    assert issubclass(Task, TaskTraits)


def test_traits_that_depend_on_an_argument_are_not_known() -> None:
    assert Backbone("timm:resnet18").traits is None
    assert Backbone.of("tiny", "blocks") == Backbone("tiny", frozenset({"blocks"}))


@pytest.mark.parametrize("entry", backbones(), ids=lambda entry: f"{entry.suite} {entry.name}")
def test_the_literal_of_a_file_is_what_the_loaded_backbone_has(entry: Entry) -> None:
    for task in entries("task", entry.suite).values():
        load_task(task)  # a suite that a backbone of `sparsebench.models` has traits for says so beside its tasks
    loaded = backbone_loader(entry, entry.name)(torch.Generator().manual_seed(0))
    assert entry.backbone(entry.name).traits == traits_of(loaded)


@pytest.mark.parametrize("suite", sorted(suites()))
def test_every_task_has_a_version_and_one_that_puts_on_a_head_trains_it(suite: str) -> None:
    for entry in entries("task", suite).values():
        task = load_task(entry)
        assert task.version, entry.name
        assert task.needs, entry.name
        assert {TRAINING_DATA, READY_HEAD} & task.gives, entry.name


def test_the_first_missing_trait_is_the_reason() -> None:
    cnn = Backbone.of("net", "parameters", "blocks", "convolutions")
    assert missing_reason({"training data", "attention"}, NONE, cnn) == "this task does not train"
    reason = missing_reason({"training data", "attention"}, frozenset({"training data"}), cnn)
    assert reason == "the backbone is a convolutional network: it has no attention, and so no transformer blocks"
    assert missing_reason({"blocks"}, NONE, cnn) is None
    assert missing_reason({"spokes", "hubs"}, NONE, cnn) == "net has no hubs and no spokes"


def test_of_a_backbone_that_is_not_known_yet_only_the_task_is_judged() -> None:
    unknown = Backbone("hf:a/b")
    assert missing_reason({"attention"}, NONE, unknown) is None
    assert missing_reason({"ready head"}, NONE, unknown) is not None


def test_a_model_that_no_describer_knows_has_no_blocks() -> None:
    assert traits_of(nn.Linear(1, 1)) == {"parameters"}
    assert "no describer knows" in unknown_anatomy(nn.Linear(1, 1))
    thing: Any = object()
    assert unknown_anatomy(thing) == ""
    assert traits_of(thing) == NONE
