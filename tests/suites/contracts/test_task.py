"""The contract of a task, and its one `run`: a chain of methods, step by step."""

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.reports.records.record import Metric
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Curves, Method, NotApplicable
from sparsebench.suites.contracts.metrics import Scores
from sparsebench.suites.contracts.task import CostCall, LoadBackbone, Setup, Task

CONTEXT = Context(suite="s", task="t", seed=0)


class Smallest(Task):
    """Scores the weight of a linear map."""

    version = "1"
    gives = frozenset({"training data", "ready head"})

    def build(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        return Setup(model=load_backbone(context.generator("backbone-init")), data=[1.0], context=context)

    def evaluate(self, subject: Any, context: Context) -> Scores:
        assert not subject.training
        metric = Metric(value=float(subject.weight.detach()), higher_is_better=True, unit="share")
        return Scores("weight", {"weight": metric}, {})

    def cost_call(self, subject: Any, context: Context) -> CostCall | None:
        return CostCall(subject, lambda model: model(torch.ones(2, 1)), 2, "row")


class Free(Smallest):
    def cost_call(self, subject: Any, context: Context) -> CostCall | None:
        return None


@dataclass(frozen=True, kw_only=True)
class Times(Method):
    """Multiplies the weight when it prepares, adds to it when it trains."""

    factor: float = 1.0
    more: float = 0.0

    @torch.no_grad()
    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        assert context.trains
        backbone.get_parameter("weight").mul_(self.factor)
        return backbone

    @torch.no_grad()
    def fit(self, model: nn.Module, data: Any, context: Context) -> Curves:
        context.note("more", self.more)
        context.ledger.count(model.parameters())
        context.ledger.add(seconds=0.0, flops=5.0, steps=1)
        model.get_parameter("weight").add_(self.more * data[0])
        return {"loss": [(1.0, self.more)]}


@dataclass(frozen=True, kw_only=True)
class Taught(Times):
    """Adds the weight of a teacher."""

    def backbones(self) -> tuple[str, ...]:
        return ("teacher",)

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        teacher = context.load_backbone("teacher")
        assert teacher.data == [1.0] and teacher.context.trains
        backbone.weight = nn.Parameter(teacher.model.get_parameter("weight").detach().clone())
        return backbone


def one(generator: torch.Generator) -> nn.Module:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    return layer


def drawn(generator: torch.Generator) -> nn.Module:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.normal_(layer.weight, generator=generator)
    return layer


def test_an_outcome_holds_nothing_that_a_task_did_not_measure() -> None:
    outcome = Free().run([], one, CONTEXT)
    rest: list[Any] = [outcome.examples, outcome.curves, outcome.details]
    assert outcome.costs is None and outcome.training is None and rest == [{}, {}, {}]
    assert set(outcome.times) == {"load", "evaluate", "measure"}
    assert outcome.examples is not Free().run([], one, CONTEXT).examples


def test_the_links_of_a_chain_act_one_after_another() -> None:
    outcome = Smallest().run([Times(factor=3.0, more=1.0), Times(factor=10.0, more=2.0)], one, Context(**_fresh()))
    assert outcome.metrics["weight"].value == (3.0 + 1.0) * 10.0 + 2.0
    assert outcome.curves == {"1. loss": [(1.0, 1.0)], "2. loss": [(1.0, 2.0)]}
    assert outcome.details == {"1. more": 1.0, "2. more": 2.0}
    assert set(outcome.times) == {"load", "prepare", "fit", "evaluate", "measure"}
    assert outcome.costs is not None and outcome.costs.unit == "row" and outcome.costs.flops == 2
    assert outcome.training is not None
    assert (outcome.training.params, outcome.training.flops, outcome.training.steps) == (1, 10.0, 2)


def test_one_link_keeps_the_names_of_its_curves_and_notes() -> None:
    outcome = Smallest().run([Times(more=1.0)], one, Context(**_fresh()))
    assert outcome.curves == {"loss": [(1.0, 1.0)]} and outcome.details == {"more": 1.0}


def test_a_name_that_a_method_and_the_task_both_use_is_refused() -> None:
    class Keeps(Free):
        def evaluate(self, subject: Any, context: Context) -> Scores:
            return replace(super().evaluate(subject, context), details={"more": 0})

    with pytest.raises(ValueError, match="the task keeps 'more' in the details, and a method noted it, too"):
        Keeps().run([Times()], one, Context(**_fresh()))


def test_a_further_backbone_is_set_up_as_the_first_with_weights_of_its_own() -> None:
    fields = _fresh()
    both = Context(**fields, further={"teacher": drawn})
    taught = Smallest().run([Taught()], drawn, both).metrics["weight"].value
    alone = Smallest().run([], drawn, both).metrics["weight"].value
    assert taught == Smallest().run([Taught()], one, both).metrics["weight"].value != alone
    with pytest.raises(ValueError, match="no method of this row named the backbone 'teacher'"):
        Smallest().run([Taught()], one, Context(**fields))
    with pytest.raises(TypeError, match=r"call `Task\.setup` first"):
        CONTEXT.load_backbone("teacher")


def test_a_backbone_that_lacks_what_a_method_needs_is_not_applicable() -> None:
    class Picky(Times):
        @property
        def needs(self) -> frozenset[str]:
            return frozenset({"attention"})

    with pytest.raises(NotApplicable, match="it has no attention"):
        Smallest().run([Picky()], one, CONTEXT)


def test_build_evaluate_and_costs_are_what_a_task_must_have() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Task()  # type: ignore[abstract]


def _fresh() -> dict[str, Any]:
    return {"suite": "s", "task": "t", "seed": 0}
