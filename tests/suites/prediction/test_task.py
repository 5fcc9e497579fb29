"""The prediction protocol: what a method may see, standardisation, missing labels, evaluation."""

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context, Target
from sparsebench.suites.contracts.method import Method, NotApplicable
from sparsebench.suites.contracts.task import Outcome
from sparsebench.suites.contracts.traits import FEATURES, own_traits
from sparsebench.suites.prediction.data import Examples, Splits, WithheldError, targets_of
from sparsebench.suites.prediction.task import PredictionTask, predict, prediction_loss
from sparsebench.suites.training.method import TrainedMethod

from .toy import Rows, make_task, splits

NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Everything(TrainedMethod):
    """Trains the whole predictor and keeps it for the test to look at."""

    kept: list[nn.Module]
    learning_rate: float = 0.01

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        self.kept.append(backbone)
        return backbone


class Untrained(Method):
    """Touches nothing."""

    @property
    def trains(self) -> str | None:
        return "none"

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        return backbone


def context(seed: int = 0, **budget: Any) -> Context:
    values = {"epochs": 3, "batch_size": 8, "calibration_examples": 20, **budget}
    return Context(suite="s", task="t", seed=seed, budget=Budget(**values))


def run(task: PredictionTask, seed: int = 0) -> tuple[Outcome, dict[str, Tensor]]:
    torch.manual_seed(seed)
    method = Everything(kept=[])
    outcome = task.run([method], Rows, context(seed))
    return outcome, method.kept[0].state_dict()


KINDS = ["classification", "regression", "multilabel"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_test_part_does_not_touch_training(kind: str) -> None:
    clean = splits(kind)
    rng = np.random.default_rng(9)
    poison = Examples(
        rng.normal(size=(20, 4)) * 1e3, rng.permutation(clean.test.targets) * 0 + clean.test.targets[::-1]
    )
    (one, state), (other, poisoned) = run(make_task(kind)), run(make_task(kind, replace(clean, test=poison)))
    assert all(torch.equal(state[name], poisoned[name]) for name in state)
    assert one.curves == other.curves
    main = one.main_metric
    assert one.metrics[f"val {main}"] == other.metrics[f"val {main}"]
    assert one.metrics[main] != other.metrics[main]


@dataclass(frozen=True, kw_only=True)
class Editor(Everything):
    """Spoils what it was given in place, after its own training."""

    def fit(self, model: nn.Module, data: Any, context: Context) -> Any:
        found = super().fit(model, data, context)
        for part in (data.train, data.val):
            part.targets.zero_()
        data.train.inputs[0].zero_()
        return found


def test_what_a_method_edits_reaches_neither_its_task_nor_another_cell() -> None:
    """The splits are those of a task that keeps them, as `TextTask` does."""
    task = make_task("regression", splits("regression"))
    before = run(task)[0]
    torch.manual_seed(0)
    assert task.run([Editor(kept=[])], Rows, context()).metrics == before.metrics
    assert run(task)[0].metrics == before.metrics


@dataclass(frozen=True, kw_only=True)
class Peeker(Untrained):
    """Looks at the test part in a way of its own."""

    look: Any
    teacher: bool = False

    def fit(self, model: nn.Module, data: Any, context: Context) -> Any:
        self.look(context.load_backbone("again").data if self.teacher else data)
        return {}


@pytest.mark.parametrize("teacher", [False, True])
def test_the_test_part_is_withheld_from_methods(teacher: bool) -> None:
    around = replace(context(), further={"again": Rows})
    for look in (
        lambda data: data.test.targets,
        lambda data: data.test.inputs,
        lambda data: data.test[0],
        lambda data: list(data.test),
        lambda data: len(data.test),
        lambda data: targets_of(data.test),
    ):
        with pytest.raises(WithheldError, match="only its task may see"):
            make_task("classification").run([Peeker(look=look, teacher=teacher)], Rows, around)
    outcome = make_task("classification").run([Peeker(look=copy.deepcopy, teacher=teacher)], Rows, around)
    assert outcome.metrics["accuracy"].n == 20


@pytest.mark.parametrize("kind", KINDS)
def test_runs_are_deterministic_and_seeds_differ(kind: str) -> None:
    (one, a), (again, b), (_, c) = run(make_task(kind)), run(make_task(kind)), run(make_task(kind), seed=1)
    assert one.metrics == again.metrics and one.curves == again.curves and one.examples == again.examples
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["head.weight"], c["head.weight"])


def test_outcome_holds_both_parts_costs_and_times() -> None:
    outcome, _ = run(make_task("classification"))
    assert set(outcome.metrics) == {"accuracy", "val accuracy"} and outcome.main_metric == "accuracy"
    assert outcome.metrics["accuracy"].n == 20 and outcome.metrics["val accuracy"].n == 12
    assert set(outcome.times) == {"load", "prepare", "fit", "evaluate", "measure"}
    assert outcome.costs is not None and outcome.costs.unit == "row"
    assert outcome.costs.params_total == 4 * 4 + 4 + 4 * 2 + 2
    assert outcome.costs.flops == 2 * (4 * 4 + 4 * 2), "operations of one example"
    assert len(outcome.examples["correct"]) == 20


def test_test_examples_are_the_first_ones() -> None:
    data = make_task("classification").setup(Rows, context(test_examples=7)).data
    assert len(data.test) == 7
    assert torch.equal(data.test.targets, torch.tensor(splits("classification").test.targets[:7]))


def test_calibration_comes_from_the_training_part_and_is_the_same_for_everyone() -> None:
    setup = make_task("classification").setup(Rows, context())
    batches = setup.context.batches()
    assert [len(inputs) for inputs, _ in batches] == [8, 8, 4]
    rows = {tuple(item.tolist()) for item, _ in setup.data.train}
    seen = [tuple(row.tolist()) for inputs, _ in batches for row in inputs]
    assert set(seen) <= rows and len(set(seen)) == 20
    again = make_task("classification").setup(Rows, context()).context.calibration()
    other = make_task("classification").setup(Rows, context(seed=1)).context.calibration()
    assert torch.equal(again[0], batches[0][0]) and not torch.equal(other[0], again[0])


def test_head_and_backbone_depend_on_the_seed_alone() -> None:
    states = [
        make_task(kind).setup(Rows, context(seed)).model.state_dict()
        for kind, seed in (("classification", 0), ("regression", 0), ("classification", 1))
    ]
    assert torch.equal(states[0]["body.layer.weight"], states[1]["body.layer.weight"])
    assert torch.equal(states[0]["head.weight"], states[1]["head.weight"])
    assert not torch.equal(states[0]["head.weight"], states[2]["head.weight"])


def test_regression_is_trained_on_standardised_targets_and_scored_in_its_unit() -> None:
    task = make_task("regression")
    data = task.setup(Rows, context()).data
    train = data.train.targets
    assert torch.allclose(train.mean(0), torch.zeros(2), atol=1e-5)
    assert torch.allclose(train.std(0, correction=0), torch.ones(2), atol=1e-5)
    truth = torch.tensor(splits("regression").test.targets).float()
    assert torch.allclose(data.scale.undo(data.test.targets), truth, atol=1e-3)

    class Zero(Untrained):
        def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
            for parameter in backbone.parameters():
                nn.init.zeros_(parameter)
            return backbone

    rmse = task.run([Zero()], Rows, context()).metrics["rmse"].value
    mean = torch.from_numpy(splits("regression").train.targets.mean(0)).float()
    assert rmse == pytest.approx(((truth - mean) ** 2).mean().sqrt().item(), rel=1e-5)


def test_losses_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    expected = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-1))) / 2
    assert prediction_loss(logits, torch.tensor([0, 1]), Target("classification", 2)).item() == pytest.approx(expected)
    targets = torch.tensor([[1.0, NAN], [0.0, 1.0]])
    squares = prediction_loss(logits, targets, Target("regression", 2)).item()
    assert squares == pytest.approx((1 + 0 + 0) / 3)
    binary = prediction_loss(logits, targets, Target("multilabel", 2)).item()
    assert binary == pytest.approx((math.log(1 + math.exp(-2)) + math.log(2) + math.log(1 + math.exp(-1))) / 3)


@pytest.mark.parametrize("kind", ["regression", "multilabel"])
def test_a_batch_without_any_label_adds_nothing(kind: str) -> None:
    outputs = torch.randn(2, 1, requires_grad=True)
    loss = prediction_loss(outputs, torch.full((2, 1), NAN), Target(kind, 1))  # type: ignore[arg-type]
    loss.backward()
    assert loss.item() == 0.0 and outputs.grad is not None and not outputs.grad.any()


@pytest.mark.parametrize("kind", ["regression", "multilabel"])
def test_missing_labels_go_through_the_whole_protocol(kind: str) -> None:
    data = splits(kind)
    parts = []
    for part in (data.train, data.val, data.test):
        targets = part.targets.copy()
        targets[::3, 1] = NAN
        parts.append(replace(part, targets=targets))
    outcome, _ = run(make_task(kind, Splits(*parts)))
    assert math.isfinite(outcome.metrics[outcome.main_metric].value)
    assert any(None in row for row in outcome.examples["target"])


def test_prediction_is_in_eval_mode_in_order_and_independent_of_the_batch() -> None:
    setup = make_task("classification").setup(Rows, context())
    setup.model.train()
    whole = predict(setup.model, setup.data.test, setup.data, 20)
    parts = predict(setup.model, setup.data.test, setup.data, 3)
    assert torch.allclose(whole, parts, atol=1e-6) and not setup.model.training
    assert torch.allclose(whole[5], setup.model(setup.data.test[5][0][None])[0], atol=1e-6)


class Pretender(nn.Linear):
    """Says that it gives features, and is no body."""


own_traits.register(Pretender, lambda loaded: frozenset({FEATURES}))


def test_a_backbone_that_is_no_body_is_refused() -> None:
    with pytest.raises(NotApplicable, match="gives no feature vectors"):
        make_task("classification").setup(lambda generator: nn.Linear(2, 2), context())
    with pytest.raises(TypeError, match="must be a FeatureExtractor, not Pretender"):
        make_task("classification").setup(lambda generator: Pretender(2, 2), context())


def test_a_head_that_nothing_trains_is_not_scored() -> None:
    class Silent(Untrained):
        @property
        def trains(self) -> str | None:
            return None

    with pytest.raises(NotApplicable, match="nothing in this row trains it"):
        make_task("classification").run([Silent()], Rows, context())
