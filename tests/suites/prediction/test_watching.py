"""Training that is watched: nothing of it changes, and the curves are those of the model after each epoch."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import BottleneckConfig, attach
from sparsebench.models.distillation import adapter_weights, weight_spread
from sparsebench.reports.records.record import Metric
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context, Setup
from sparsebench.suites.contracts.method import Curves, Method
from sparsebench.suites.contracts.task import Outcome
from sparsebench.suites.methods.adapters.adapter import Adapter
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.methods.pair.idat import InverseDistillationTuning
from sparsebench.suites.prediction.task import PredictionTask
from sparsebench.suites.prediction.watching import BEST, SPREAD, TEST, Watch, watched_metrics
from sparsebench.suites.training.callbacks import Callback, TrainingState
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.method import TrainedMethod

from ..methods.pair.pairs import CNNS, VITS, Pair
from .toy import Chosen, Rows, make_task

EPOCHS = 4
KINDS = ["classification", "regression", "multilabel"]
WATCHED = Budget(epochs=2, batch_size=8, test_examples=40, calibration_examples=8, watch=("test", "adapters"))


class Copies(Callback):
    """Keeps the model of each epoch."""

    def __init__(self) -> None:
        self.models: list[nn.Module] = []

    def on_epoch(self, state: TrainingState) -> None:
        self.models.append(copy.deepcopy(state.models["model"]))


@dataclass(frozen=True, kw_only=True)
class Everything(TrainedMethod):
    """Trains the whole model, with dropout."""

    copies: Copies
    learning_rate: float = 0.05

    @property
    def trains(self) -> str:
        return "all"

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        return backbone

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        return (self.copies,)


class Idle(Method):
    """A link that trains nothing."""

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        return backbone


def context(watch: bool) -> Context:
    budget = Budget(epochs=EPOCHS, batch_size=8, calibration_examples=8, watch=("test", "adapters") if watch else ())
    return Context(suite="s", task="t", seed=0, budget=budget)


def run(kind: str, watch: bool) -> tuple[Outcome, list[nn.Module]]:
    torch.manual_seed(0)
    copies = Copies()
    outcome = make_task(kind).run([Everything(copies=copies)], Rows, context(watch))
    return outcome, copies.models


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_training_changes_by_it(kind: str) -> None:
    plain, models = run(kind, watch=False)
    watched, same = run(kind, watch=True)
    for one, other in zip(models, same, strict=True):
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())
    assert {name: watched.metrics[name] for name in plain.metrics} == plain.metrics
    assert {name: watched.curves[name] for name in plain.curves} == plain.curves
    assert set(watched.metrics) - set(plain.metrics) == {f"{BEST}{plain.main_metric}"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_point_is_the_score_of_the_model_of_that_epoch(kind: str) -> None:
    outcome, models = run(kind, watch=True)
    task = make_task(kind)
    setup = task.setup(Rows, context(watch=False))
    wanted = []
    for model in models:
        found = task.evaluate(task.subject(model.eval(), setup), setup.context)
        wanted.append(found.metrics[found.main].value)
    main = outcome.main_metric
    points = outcome.curves[f"{TEST}{main}"]
    assert [value for _, value in points] == wanted
    assert [step for step, _ in points] == [5.0, 10.0, 15.0, 20.0], "40 rows in batches of 8"
    assert points[-1][1] == outcome.metrics[main].value
    best = outcome.metrics[f"{BEST}{main}"]
    assert best.value == (max(wanted) if best.higher_is_better else min(wanted))
    assert len(set(wanted)) > 1


def test_modes_come_back() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(2, 2))
    model.train()
    model[0].eval()
    seen = []

    def score() -> tuple[str, float]:
        seen.extend(module.training for module in model.modules())
        return "accuracy", 0.5

    assert Watch(model, score, adapters=True)(None) == {"test accuracy": 0.5}, "no adapters, no spread"
    assert seen == [False, False, False]
    assert [module.training for module in model.modules()] == [True, False, True]


@dataclass(frozen=True, kw_only=True)
class Listening(Everything):
    """Has scores of its own in the loop."""

    def fit(self, model: nn.Module, data: Any, context: Context, stage: str = "train") -> Curves:
        def own(models: Any) -> Mapping[str, float]:
            return {"own": 1.0}

        groups = [Group.adamw("model", model, learning_rate=0.01, weight_decay=0.0)]
        return self.train_groups(model, data, context.loss, groups, context, evaluate=own, stage=stage).curves


def test_scores_of_the_method_s_own_are_noted_beside_it() -> None:
    outcome = make_task("classification").run([Listening(copies=Copies())], Rows, context(watch=True))
    assert len(outcome.curves["own"]) == len(outcome.curves["test accuracy"]) == EPOCHS


def test_only_the_last_link_of_a_chain_counts() -> None:
    task = make_task("classification")
    first = task.run([Everything(copies=Copies()), Idle()], Rows, context(watch=True))
    assert len(first.curves["1. test accuracy"]) == EPOCHS and f"{BEST}accuracy" not in first.metrics
    last = task.run([Idle(), Everything(copies=Copies())], Rows, context(watch=True))
    best = max(value for _, value in last.curves["2. test accuracy"])
    assert last.metrics[f"{BEST}accuracy"].value == best


def test_the_better_epoch_of_an_error_is_the_lower_one() -> None:
    last = Metric(value=2.0, n=7, higher_is_better=False, unit="")
    found = watched_metrics({"test rmse": [(1.0, 3.0), (2.0, 1.5), (3.0, 2.0)]}, last, "rmse", 1)
    assert found == {"best-epoch rmse": Metric(value=1.5, n=7, higher_is_better=False, unit="")}


def test_trials_of_a_choice_are_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    original = PredictionTask.watched

    def watched(self: Any, model: nn.Module, setup: Setup, context: Context) -> Context:
        found = original(self, model, setup, context)
        asked.append(found.watch is not None)
        return found

    monkeypatch.setattr(PredictionTask, "watched", watched)
    outcome = Chosen().run([Everything(copies=Copies())], Rows, context(watch=True))
    assert asked == [False, False, False, True]
    points = [value for _, value in outcome.curves["test accuracy"]]
    assert points[-1] == outcome.metrics["accuracy"].value and outcome.metrics[f"{BEST}accuracy"].value == max(points)


def adapted(pair: Pair, method: Method, watch: bool) -> Outcome:
    return pair.run(method, WATCHED if watch else replace(WATCHED, watch=()))


@pytest.mark.parametrize("pair", [VITS, CNNS], ids=str)
@pytest.mark.parametrize("blocks", ["all", 1])
def test_adapters_on_features_that_were_cached(pair: Pair, blocks: Any) -> None:
    """The loop trains the last blocks on cached features; the points are of the whole model on raw inputs."""
    method = Adapter(rank=2, blocks=blocks, learning_rate=0.01)
    plain = adapted(pair, method, watch=False)
    watched = adapted(pair, method, watch=True)
    assert {name: watched.metrics[name] for name in plain.metrics} == plain.metrics
    assert watched.curves["train loss"] == plain.curves["train loss"]
    points = watched.curves["test accuracy"]
    assert len(points) == WATCHED.epochs and points[-1][1] == plain.metrics["accuracy"].value
    assert watched.metrics[SPREAD].value > 0 and SPREAD not in plain.metrics


def test_of_a_pair_it_is_the_student() -> None:
    method = InverseDistillationTuning(teacher=VITS.teacher, rank=2, learning_rate=0.01)
    plain = adapted(VITS, method, watch=False)
    watched = adapted(VITS, method, watch=True)
    assert {name: watched.metrics[name] for name in plain.metrics} == plain.metrics
    assert watched.curves["test accuracy"][-1][1] == plain.metrics["accuracy"].value
    assert watched.metrics[SPREAD].value == plain.curves["std of adapter weights, student"][-1][1]
    both = adapted(VITS, replace(method, ensemble=True), watch=True)
    assert both.curves["test accuracy"][-1][1] == both.metrics["accuracy"].value


def test_a_probe_has_no_epochs() -> None:
    outcome = adapted(VITS, LinearProbe(), watch=True)
    assert set(outcome.metrics) == {"accuracy", "val accuracy"}


def test_the_spread_is_that_of_the_adapters() -> None:
    model = Rows(torch.Generator().manual_seed(0))
    assert adapter_weights(model) == {}
    vit = VITS.setup(Adapter(rank=2)).model
    adapters = attach(vit, BottleneckConfig(r=2, init="normal"))
    weights: Mapping[str, Tensor] = adapters.weights()
    assert Watch(vit, None, adapters=True)(None) == {SPREAD: weight_spread(weights).std}


@pytest.mark.parametrize(("watch", "names"), [(("test",), {f"{BEST}accuracy"}), (("adapters",), {SPREAD})])
def test_only_what_was_asked_for(watch: Any, names: set[str]) -> None:
    outcome = VITS.run(Adapter(rank=2), replace(WATCHED, watch=watch))
    assert set(outcome.metrics) == {"accuracy", "val accuracy"} | names
    assert ("test accuracy" in outcome.curves) == ("test" in watch)
