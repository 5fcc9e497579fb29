"""A toy data set, method and model for the tests of training."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.training.callbacks import Callback, TrainingState
from sparsebench.suites.training.method import TrainedMethod


class Numbers:
    """Eight examples (number, target); remembers every batch in the order the loop asks for it."""

    lengths = None

    def __init__(self) -> None:
        self.train = [(torch.tensor([float(i)]), torch.tensor([2.0 * i])) for i in range(8)]
        self.seen: list[list[int]] = []

    def collate(self, examples: list[Any]) -> tuple[Tensor, Tensor]:
        self.seen.append([int(x) for x, _ in examples])
        return torch.stack([x for x, _ in examples]), torch.stack([y for _, y in examples])


class StoppedError(Exception):
    """A training that ends early."""


class StopAt(Callback):
    """Ends a training after a step, before what the loop does then."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, state: TrainingState) -> None:
        if state.step == self.step:
            raise StoppedError


class Recorder(Callback):
    def __init__(self) -> None:
        self.events: list[str] = []
        self.rates: list[float] = []

    def on_start(self, state: TrainingState) -> None:
        self.events.append("start")

    def on_step(self, state: TrainingState) -> None:
        self.events.append(f"step {state.step}")
        self.rates.append(state.optimizers["model"].param_groups[0]["lr"])

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
