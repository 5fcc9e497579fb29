"""Experts that go, merge or become means, and parts that are dropped, where they are meant."""

from collections.abc import Callable
from typing import Any

import pytest

from sparsebench.models.compression.trimming.experts.mixtures import mixtures_of
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig
from sparsebench.suites.model_tools._work import Work
from sparsebench.suites.model_tools.steps.trimming import Drop, Experts

MIXTURE = MoEConfig(num_experts=4, router_init="random")


def experts(work: Work) -> list[int]:
    return [mixture.experts.num_experts for mixture in mixtures_of(work.model)]


def test_experts_go_where_they_are_meant(work: Callable[..., Work]) -> None:
    one = work(MIXTURE)
    line = Experts(keep=0.5, score="frequency", ignore=("layers.1",)).apply(one)
    assert experts(one) == [2, 4] and line.startswith("2 of 8 experts dropped")


@pytest.mark.parametrize(
    ("step", "line"),
    [
        (Experts(keep=0.5, how="merge"), "8 experts merged into 4"),
        (Experts(keep=0.5, how="merge", grouping="router"), "8 experts merged into 4"),
        (Experts(keep=0.5, how="mean"), "4 of 8 experts replaced by their mean outputs"),
        (Experts(keep=0.5, keep_router=True), "4 of 8 experts dropped, 0.0 MiB saved"),
    ],
)
def test_other_ways(step: Experts, line: str, work: Callable[..., Work]) -> None:
    one = work(MIXTURE)
    assert step.apply(one).startswith(line)
    assert experts(one) == [2, 2]


def test_parts_are_dropped(work: Callable[..., Work]) -> None:
    one = work()
    assert Drop(what="layers", number=1, targets=("layers.0",)).apply(one) == "1 layers dropped: model.layers.0.mlp"
    assert Drop(what="attentions", number=1).apply(one).startswith("1 attentions dropped: model.layers.")
    two = work()
    assert Drop(what="blocks", number=1, ignore=("layers.0",)).apply(two) == "1 blocks dropped: model.layers.1"
    assert len(two.model.model.layers) == 1


def test_mistakes(work: Callable[..., Work]) -> None:
    mistakes: list[dict[str, Any]] = [{"keep": 0.0}, {"how": "merge", "score": "reap"}, {"grouping": "router"}]
    for values in mistakes:
        with pytest.raises(ModelError):
            Experts(**values)
    with pytest.raises(ModelError, match="keep_router"):
        Experts(how="mean", keep_router=True)
    with pytest.raises(ModelError, match="has no mixture of experts"):
        Experts().apply(work())
    with pytest.raises(ModelError, match="number=3: 2 layers"):
        Drop(what="layers", number=3).apply(work())
