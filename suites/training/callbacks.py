"""Hooks into the training loop, and what they see."""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import torch
from torch import nn


@dataclass(kw_only=True)
class TrainingState:
    """What a callback may read, and what it may change while training runs: models, optimizers, data, `stop`."""

    models: Mapping[str, nn.Module]
    optimizers: Mapping[str, torch.optim.Optimizer]
    """By the name of their group."""
    data: Any
    """The data as given to `train`; a callback may, say, move the weights of a mixture."""
    total: int | None
    """Steps of the whole training; None where nobody knows."""
    epoch: int = 0
    step: int = 0
    tokens: int = 0
    batches: int = 0
    """Batches of all processes so far."""
    loss: float = math.nan
    losses: dict[str, float] = field(default_factory=dict)
    """The parts of the last loss, where it has several."""
    scores: dict[str, float] = field(default_factory=dict)
    """What the last evaluation gave."""
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """(step, value) of each loss and score so far."""
    seconds: float = 0.0
    """Spent in the loop, before stops too."""
    flops: int = 0
    model_seconds: dict[str, float] = field(default_factory=dict)
    """The part of `seconds` that each model took, where there are several."""
    model_flops: dict[str, int] = field(default_factory=dict)
    stop: bool = False
    """Set it to end training after this step."""


class Callback:
    """Hooks into the loop; the default of each does nothing.

    A callback that remembers something overrides `state_dict` and `load_state_dict`: plain values and tensors.
    """

    def on_start(self, state: TrainingState) -> None:
        """Before the first step, and again before training goes on; a checkpoint is read after that."""

    def on_step(self, state: TrainingState) -> None:
        """After each step of the optimizers, and after the evaluation that follows it."""

    def on_epoch(self, state: TrainingState) -> None:
        """After each epoch."""

    def on_end(self, state: TrainingState) -> None:
        """After the last step and its evaluation, before the last checkpoint."""

    def state_dict(self) -> dict[str, Any]:
        """What to keep in a checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""


def remembering(callbacks: Sequence[Callback]) -> list[Callback]:
    """Those that keep something in a checkpoint."""
    return [callback for callback in callbacks if type(callback).state_dict is not Callback.state_dict]


class KeptGenerator(Callback):
    """Keeps the state of a generator that a loss draws from: without it, training would go on with other numbers."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def state_dict(self) -> dict[str, Any]:
        """Where the draws stand."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on drawing from there."""
        self.generator.set_state(state["generator"])


class Progress(Callback):
    """A line on standard output every `every` steps: mean loss and steps per second since the line before."""

    def __init__(self, every: int = 50, show: bool = True) -> None:
        self.every = every
        self.show = show
        self.losses: list[float] = []
        self.since = 0.0

    def on_start(self, state: TrainingState) -> None:
        """Start the clock."""
        self.since = perf_counter()

    def on_step(self, state: TrainingState) -> None:
        """Print where a line is due."""
        self.losses.append(state.loss)
        if state.step % self.every and state.step != state.total:
            return
        mean = math.fsum(self.losses) / len(self.losses)
        rate = len(self.losses) / (perf_counter() - self.since)
        self.losses.clear()
        self.since = perf_counter()
        if not self.show:
            return
        end = left = ""
        if state.total is not None:
            end = f"/{state.total}"
            left = f"  {(state.total - state.step) / rate / 60:.0f} min left"
        sys.stdout.write(f"step {state.step}{end}  loss {mean:.4f}  {rate:.2f} steps/s{left}\n")
        sys.stdout.flush()
