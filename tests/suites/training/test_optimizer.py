"""What decays, and the schedule of the learning rate."""

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.sparsity.masked import MaskedLinear
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.training.loop import Callback, TrainingState, train
from sparsebench.suites.training.method import TrainedMethod
from sparsebench.suites.training.optimizer import parameter_groups, warmup_cosine


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


def test_warmup_and_cosine_by_hand() -> None:
    factors = [warmup_cosine(step, 10, 0.2) for step in range(11)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors[6] == pytest.approx(0.5)
    assert factors[4] == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert factors[10] == pytest.approx(0.0)
    assert factors[2:] == sorted(factors[2:], reverse=True)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_schedule_of_very_short_runs_is_finite_and_starts_at_the_peak(steps: int) -> None:
    factors = [warmup_cosine(step, steps, 0.1) for step in range(steps + 1)]
    assert factors[0] == 1.0 and all(0 <= factor <= 1 for factor in factors)


def test_parameter_groups_decay_matrices_only() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 2))
    model[2].requires_grad_(False)
    decayed, plain = parameter_groups(model, 0.1)
    assert [id(p) for p in decayed["params"]] == [id(model[0].weight)] and decayed["weight_decay"] == 0.1
    assert {id(p) for p in plain["params"]} == {id(p) for p in (model[0].bias, *model[1].parameters())}
    assert plain["weight_decay"] == 0.0


def test_nothing_to_train_raises() -> None:
    with pytest.raises(ValueError, match="nothing to train"):
        train(Fit(), linear().requires_grad_(False), Numbers(), context())


def test_pruned_weights_decay_like_dense_ones() -> None:
    layer = MaskedLinear(4, 4)
    nn.init.ones_(layer.stored)
    layer.prune(torch.eye(4, dtype=torch.bool))
    decayed, rest = parameter_groups(layer, 0.1)
    assert decayed["params"] == [layer.values] and rest["params"] == [layer.bias]
