"""The reason of an "n/a": of one method, of a chain, of a further backbone, before and after loading."""

from dataclasses import dataclass
from typing import Any

import pytest
from torch import nn

from sparsebench.suites.contracts.applicability import check_loaded, reason_against
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Curves, Method, NotApplicable
from sparsebench.suites.contracts.traits import Backbone, TaskTraits

VIT = Backbone.of("vit", "parameters", "features", "blocks", "attention", "ffn", "image tokens")
WRITER = Backbone.of("lm", "parameters", "blocks", "attention", "ffn", "causal")


class Predicts(TaskTraits):
    version = "1"
    gives = frozenset({"training data", "feature vectors"})
    needs = frozenset({"features"})


class Writes(TaskTraits):
    version = "1"
    gives = frozenset({"ready head"})
    needs = frozenset({"causal"})


class Tunes(Writes):
    gives = frozenset({"ready head", "training data"})


@dataclass(frozen=True, kw_only=True)
class Step(Method):
    """A method with the traits of a test."""

    wants: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    train: str | None = None

    @property
    def needs(self) -> frozenset[str]:
        return frozenset(self.wants)

    @property
    def gives(self) -> frozenset[str]:
        return frozenset(self.makes)

    @property
    def trains(self) -> str | None:
        return self.train

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        return backbone


@dataclass(frozen=True, kw_only=True)
class Fits(Step):
    """One that trains in its own way."""

    def fit(self, model: nn.Module, data: Any, context: Context) -> Curves:
        return {}


def test_a_method_needs_what_task_and_backbone_have_together() -> None:
    method = Fits(wants=("training data", "image tokens"))
    assert reason_against([method], Predicts, VIT) is None
    assert reason_against([method], Writes, VIT) == "this task does not train"
    wanted = "the backbone is a causal LM: it does not see an image as tokens"
    assert reason_against([method], Predicts, WRITER) == wanted


def test_a_task_needs_traits_of_every_backbone() -> None:
    wanted = "the backbone is a vision transformer: it predicts no next token"
    assert reason_against([Step()], Writes, VIT) == wanted
    assert reason_against([Step()], Writes, WRITER, [VIT]) == wanted
    assert reason_against([Step()], Writes, WRITER, [WRITER]) is None


def test_a_link_finds_what_the_links_before_it_gave() -> None:
    convert, drop = Step(wants=("ffn",), makes=("experts",)), Step(wants=("experts",))
    assert reason_against([convert, drop], Writes, WRITER) is None
    reason = reason_against([drop, convert], Writes, WRITER, names=["expert_drop", "cmoe"])
    assert reason == "expert_drop: the backbone is a causal LM: it has no experts"


def test_a_row_on_a_task_that_trains_trains_or_says_that_it_does_not() -> None:
    assert "train: none" in (reason_against([Step(train="head")], Tunes, WRITER) or "")
    for train in ("all", "router", "none", None):
        assert reason_against([Step(train=train)], Tunes, WRITER) is None
    assert reason_against([Step(train="head")], Writes, WRITER) is None
    assert "say train: head" in (reason_against([Step(), Step()], Predicts, VIT) or "")
    for last in (Fits(), Step(train="head"), Step(train="none")):
        assert reason_against([Step(), last], Predicts, VIT) is None


def test_after_loading_the_model_itself_is_asked() -> None:
    check_loaded(nn.Linear(1, 1), TaskTraits(), [Step(wants=("parameters",))])
    with pytest.raises(NotApplicable, match="a network without blocks: it has no attention"):
        check_loaded(nn.Linear(1, 1), TaskTraits(), [Step(wants=("attention",))])
    with pytest.raises(NotApplicable, match="it predicts no next token"):
        check_loaded(nn.Linear(1, 1), Writes())


def test_a_helper_that_only_looks_at_the_data_needs_nothing_of_the_task() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Embeds(Step):
        def backbones(self) -> tuple[str, ...]:
            return ("encoder",)

        def helpers(self) -> tuple[str, ...]:
            return ("encoder",)

    encoder = Backbone.of("encoder", "parameters", "features")
    assert reason_against([Step()], Writes, WRITER, [encoder]) is not None
    assert reason_against([Embeds()], Writes, WRITER, [encoder]) is None
    assert reason_against([Embeds()], Writes, WRITER, [encoder, VIT]) is not None
