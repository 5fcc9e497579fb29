"""The contract of a task."""

from typing import Any

import pytest
from torch import nn

from sparsebench.reports.record import Metric
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method
from sparsebench.suites.contracts.task import LoadBackbone, Outcome, Setup, Task
from sparsebench.suites.contracts.traits import Backbone


class Smallest(Task):
    version = "1"

    def setup(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        return Setup(model=nn.Identity(), data=None, context=context)

    def run(self, method: Method, load_backbone: LoadBackbone, context: Context) -> Outcome:
        metric = Metric(value=1.0, higher_is_better=True, unit="share")
        return Outcome(metrics={"accuracy": metric}, main_metric="accuracy")


def test_a_task_serves_every_backbone_unless_it_says_otherwise() -> None:
    assert Smallest().unsupported(Backbone("tiny", "transformer")) is None


def test_an_outcome_holds_nothing_that_a_task_did_not_measure() -> None:
    outcome = Smallest().run(None, None, Context(suite="s", task="t", seed=0))  # type: ignore[arg-type]
    rest: list[Any] = [outcome.examples, outcome.times, outcome.curves, outcome.details]
    assert outcome.costs is None and rest == [{}, {}, {}, {}]
    other = Smallest().run(None, None, Context(suite="s", task="t", seed=0))  # type: ignore[arg-type]
    assert outcome.examples is not other.examples


def test_setup_and_run_are_what_a_task_must_have() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Task()  # type: ignore[abstract]
