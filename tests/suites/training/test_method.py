"""A method that trains: what it gets by deriving from `TrainedMethod`, and what it may override."""

from dataclasses import dataclass
from typing import Any

import pytest
from torch import Tensor, nn

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.training.method import TrainedMethod

from .toy import Fit, Numbers, Recorder, squared_error


@dataclass(frozen=True, kw_only=True)
class Pulled(Fit):
    """Adds a term that pulls the weights to zero."""

    pull: float = 100.0

    def loss(self, model: nn.Module, batch: Any, context: Context) -> Tensor:
        weight = next(model.parameters())
        return context.loss(model, batch) + self.pull * weight.square().sum()


def fitted(method: TrainedMethod) -> float:
    context = Context(suite="s", task="t", seed=0, budget=Budget(epochs=200, batch_size=4), loss=squared_error)
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 0.5)
    curves = method.fit(model, Numbers(), context)
    assert curves["train loss"][-1][0] == 400
    return model.weight.item()


def test_by_default_the_loss_is_that_of_the_task() -> None:
    assert fitted(Fit(learning_rate=0.05, weight_decay=0.0)) == pytest.approx(2.0, abs=1e-3)


def test_a_method_may_add_a_term_and_listen() -> None:
    recorder = Recorder()
    weight = fitted(Pulled(learning_rate=0.05, weight_decay=0.0, recorder=recorder))
    assert weight == pytest.approx(2 * 17.5 / (17.5 + 100), abs=1e-3), "17.5: the mean square of the numbers"
    assert recorder.events.count("step 400") == 1


def test_a_loss_that_is_not_finite_is_the_task_s_or_the_method_s() -> None:
    with pytest.raises(FloatingPointError, match=r"step 0: the task's own loss is finite there .*, what Pulled adds"):
        fitted(Pulled(pull=float("nan")))
    with pytest.raises(FloatingPointError, match="and so is the task's own loss: lower the learning rate"):
        fitted(Pulled(learning_rate=1e30))
    with pytest.raises(FloatingPointError, match=r"training loss is (nan|inf) at step \d+: lower"):
        fitted(Fit(learning_rate=1e30))


@pytest.mark.parametrize(("budget", "steps"), [({"epochs": 3}, 6), ({"steps": 5}, 5), ({"tokens": 9}, 3)])
def test_training_lasts_as_long_as_the_budget_says_and_is_in_the_ledger(budget: dict[str, int], steps: int) -> None:
    context = Context(
        suite="s",
        task="t",
        seed=0,
        budget=Budget(batch_size=4, **budget),
        loss=squared_error,
        tokens=lambda batch: len(batch[0]),
    )
    model = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 1))
    model[1].bias.requires_grad_(False)
    Fit().fit(model, Numbers(), context)
    costs = context.ledger.costs()
    assert costs is not None
    assert (costs.steps, costs.tokens, costs.params) == (steps, 4 * steps, 6)
    assert costs.flops is not None and costs.flops > 0 and costs.seconds is not None and costs.peak_memory


def test_tokens_that_nobody_counts_end_no_training() -> None:
    context = Context(suite="s", task="images", seed=0, budget=Budget(tokens=9), loss=squared_error)
    with pytest.raises(ValueError, match="the task 'images' has no tokens to count"):
        Fit().fit(nn.Linear(1, 1), Numbers(), context)
