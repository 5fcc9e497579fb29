"""Rows by the size of the data and of the images."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparsebench.data.own.columns import Columns
from sparsebench.suites.runner.fit.rows import choose_rows
from sparsebench.suites.runner.fit.sources import TASKS, Kind, OwnData


def data(kind: Kind, train: int, **fields: Any) -> OwnData:
    counts = {"train": train, "val": 10, "test": 10}
    own = OwnData(
        kind=kind,
        place=Path("x"),
        counts=counts,
        goal="classification",
        classes=(),
        columns=Columns("", ()),
        rejected=(),
    )
    return replace(own, **fields)


@pytest.mark.parametrize("kind", [kind for kind in TASKS if kind != "conversations"])
def test_what_trains_wants_data_and_minutes(kind: Kind) -> None:
    labels = {}
    for train in (199, 200, 3000, 3001):
        profile, notes = choose_rows(data(kind, train, side=500), 4)
        (plan,) = profile.plans
        assert plan.seeds == 4 and [task.name for task in plan.tasks] == [TASKS[kind].name]
        labels[train] = [row.label for row in plan.methods]
        assert any("left out" in note for note in notes) == (train in (199, 3001))
    assert labels[199] == labels[3001] == ["constant", "linear_probe", "random_forest"]
    assert labels[200] == labels[3000] and len(labels[200]) > 3


def test_conversations_take_all_rows_and_backbones_of_ones_own() -> None:
    profile, notes = choose_rows(data("conversations", 9), 1)
    (plan,) = profile.plans
    assert notes == [] and plan.backbones == ("small_llama", "small_mixture")
    assert [row.backbones for row in plan.methods] == [(), ("small_llama",), ("small_llama",), ()]
    (plan,) = choose_rows(data("conversations", 9), 1, ["hf:mine"])[0].plans
    assert plan.backbones == ("hf:mine",) and not any(row.backbones for row in plan.methods)


def test_small_images_are_not_blown_up() -> None:
    profile, notes = choose_rows(data("images", 300, side=32), 1)
    assert profile.plans[0].backbones == ("efficientnet_lite0:64", "vit_tiny_s")
    assert notes == ["left out: efficientnet_lite0:160: the images are 32 pixels wide"]
    assert "efficientnet_lite0:160" in choose_rows(data("images", 300, side=97), 1)[0].plans[0].backbones
