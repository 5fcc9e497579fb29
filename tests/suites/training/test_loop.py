"""The training loop: schedule, parameter groups, data order, determinism, failures."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.training.loop import CURVE_POINTS, Callback, TrainingState, train
from sparsebench.suites.training.method import TrainedMethod
from sparsebench.suites.training.optimizer import warmup_cosine


class Numbers:
    """Eight examples (number, target); remembers every batch in the order the loop asks for it."""

    lengths = None

    def __init__(self) -> None:
        self.train = [(torch.tensor([float(i)]), torch.tensor([2.0 * i])) for i in range(8)]
        self.seen: list[list[int]] = []

    def collate(self, examples: list[Any]) -> tuple[Tensor, Tensor]:
        self.seen.append([int(x) for x, _ in examples])
        return torch.stack([x for x, _ in examples]), torch.stack([y for _, y in examples])


class Recorder(Callback):
    def __init__(self) -> None:
        self.events: list[str] = []
        self.rates: list[float] = []

    def on_start(self, state: TrainingState) -> None:
        self.events.append("start")

    def on_step(self, state: TrainingState) -> None:
        self.events.append(f"step {state.step}")
        self.rates.append(state.optimizer.param_groups[0]["lr"])

    def on_epoch(self, state: TrainingState) -> None:
        self.events.append(f"epoch {state.epoch}")


@dataclass(frozen=True, kw_only=True)
class Fit(TrainedMethod):
    recorder: Recorder | None = None

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        return backbone

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        return (self.recorder,) if self.recorder else ()


def squared_error(model: nn.Module, batch: Any) -> Tensor:
    return nn.functional.mse_loss(model(batch[0]), batch[1])


def context(seed: int = 0, epochs: int = 2, loss: Any = squared_error) -> Context:
    return Context(suite="s", task="t", seed=seed, budget=Budget(epochs=epochs, batch_size=4), loss=loss)


def linear(width: int = 1) -> nn.Linear:
    layer = nn.Linear(1, width)
    nn.init.constant_(layer.weight, 0.5)
    nn.init.zeros_(layer.bias)
    return layer


def test_data_order_depends_on_the_seed_and_not_on_the_method() -> None:
    def order(method: TrainedMethod, seed: int) -> list[list[int]]:
        data = Numbers()
        torch.rand(int(100 * method.learning_rate))  # a method may draw as many global numbers as it likes
        train(method, linear(3 if method.weight_decay else 1), _wide(data, method), context(seed))
        return data.seen

    def _wide(data: Numbers, method: TrainedMethod) -> Numbers:
        if method.weight_decay:
            data.train = [(x, y.expand(3)) for x, y in data.train]
        return data

    first = order(Fit(learning_rate=0.01), 0)
    assert first == order(Fit(learning_rate=0.5, weight_decay=0.0), 0)
    assert first != order(Fit(learning_rate=0.01), 1)
    assert sorted(first[0] + first[1]) == list(range(8)) and first[:2] != first[2:]


def test_the_loop_follows_the_schedule() -> None:
    recorder = Recorder()
    train(Fit(recorder=recorder, learning_rate=0.1, warmup=0.5), linear(), Numbers(), context())
    # After step k the optimizer holds the rate of step k + 1; 4 steps, of which 2 rise.
    assert recorder.rates == pytest.approx([0.1 * warmup_cosine(step, 4, 0.5) for step in (1, 2, 3, 4)])
    assert recorder.events == ["start", "step 1", "step 2", "epoch 0", "step 3", "step 4", "epoch 1"]


def test_training_is_deterministic_and_learns() -> None:
    models = [linear(), linear()]
    curves = [train(Fit(learning_rate=0.3), model, Numbers(), context(epochs=30)) for model in models]
    assert torch.equal(models[0].weight, models[1].weight) and curves[0] == curves[1]
    losses = [loss for _, loss in curves[0]["train loss"]]
    assert losses[-1] < 0.05 * losses[0]


def test_frozen_parameters_do_not_move() -> None:
    model = nn.Sequential(linear(), linear())
    model[0].requires_grad_(False)
    train(Fit(learning_rate=0.1, weight_decay=0.5), model, Numbers(), context())
    assert model[0].weight.item() == 0.5 and model[1].weight.item() != 0.5
    assert not model.training


def test_adamw_step_by_hand() -> None:
    model = linear()
    ctx = Context(suite="s", task="t", seed=0, budget=Budget(epochs=1, batch_size=8), loss=squared_error)
    train(Fit(learning_rate=0.1, weight_decay=0.5, warmup=0.0), model, Numbers(), ctx)
    # One step: decay 0.5 (1 - 0.1 * 0.5), then the sign of the gradient times the rate.
    assert model.weight.item() == pytest.approx(0.5 * 0.95 + 0.1, abs=1e-5)
    assert model.bias.item() == pytest.approx(0.1, abs=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_raises_before_the_step(value: float) -> None:
    model = linear()
    broken = context(loss=lambda model, batch: squared_error(model, batch) * value)
    with pytest.raises(FloatingPointError, match="step 0"):
        train(Fit(), model, Numbers(), broken)
    assert model.weight.item() == 0.5


def test_the_curve_is_thinned() -> None:
    curve = train(Fit(), linear(), Numbers(), context(epochs=3 * CURVE_POINTS))["train loss"]
    assert CURVE_POINTS // 2 <= len(curve) <= CURVE_POINTS + 1
    assert curve[-1][0] == 6 * CURVE_POINTS, "the last step is kept"
