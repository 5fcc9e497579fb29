"""The one training loop: AdamW, linear warm-up and cosine decay, last epoch, data order from the cell's seed."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..contracts.context import Context
from ..contracts.method import Curves
from .batches import TrainingData, batch_loader
from .optimizer import parameter_groups, warmup_cosine

CURVE_POINTS = 200


@dataclass
class TrainingState:
    """What a callback may read and change while training runs."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loader: DataLoader
    epoch: int = 0
    step: int = 0
    loss: float = math.nan


class Callback:
    """Hooks into the loop; the default of each does nothing."""

    def on_start(self, state: TrainingState) -> None:
        """Before the first step."""

    def on_step(self, state: TrainingState) -> None:
        """After each optimizer step."""

    def on_epoch(self, state: TrainingState) -> None:
        """After each epoch."""


class Recipe(Protocol):
    """What the loop needs of a method."""

    @property
    def learning_rate(self) -> float:
        """Peak learning rate."""
        ...

    @property
    def weight_decay(self) -> float:
        """AdamW's decoupled decay."""
        ...

    @property
    def warmup(self) -> float:
        """Fraction of the steps in which the learning rate rises."""
        ...

    def loss(self, model: nn.Module, batch: Any, context: Context) -> Tensor:
        """Training loss of one batch."""
        ...

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """Hooks into the loop, in order."""
        ...


def train(recipe: Recipe, model: nn.Module, data: TrainingData, context: Context) -> Curves:
    """Run the loop; returns the training loss by step. Raises FloatingPointError when the loss is not finite."""
    accelerator = Accelerator(cpu=context.device.type == "cpu")
    loader = batch_loader(data, context)
    steps = context.budget.epochs * len(loader)
    optimizer = torch.optim.AdamW(parameter_groups(model, recipe.weight_decay), lr=recipe.learning_rate)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, steps, recipe.warmup))
    prepared, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    state = TrainingState(prepared, optimizer, loader)
    callbacks = recipe.callbacks(context)
    losses: list[float] = []
    for callback in callbacks:
        callback.on_start(state)
    for state.epoch in range(context.budget.epochs):
        prepared.train()
        for batch in loader:
            with torch.autocast(context.device.type, torch.bfloat16, enabled=context.dtype is torch.bfloat16):
                loss = recipe.loss(prepared, batch, context)
            _step(accelerator, state, scheduler, loss)
            losses.append(state.loss)
            for callback in callbacks:
                callback.on_step(state)
        for callback in callbacks:
            callback.on_epoch(state)
    model.eval()
    return {"train loss": _thin(losses)}


def _step(accelerator: Accelerator, state: TrainingState, scheduler: Any, loss: Tensor) -> None:
    state.loss = loss.item()
    if not math.isfinite(state.loss):
        raise FloatingPointError(f"training loss is {state.loss} at step {state.step}: lower the learning rate")
    state.optimizer.zero_grad(set_to_none=True)
    accelerator.backward(loss)
    state.optimizer.step()
    scheduler.step()
    state.step += 1


def _thin(losses: list[float]) -> list[tuple[float, float]]:
    """Mean loss over equal stretches, so that a record holds at most `CURVE_POINTS` points."""
    width = max(1, math.ceil(len(losses) / CURVE_POINTS))
    points = []
    for start in range(0, len(losses), width):
        stretch = losses[start : start + width]
        points.append((float(start + len(stretch)), sum(stretch) / len(stretch)))
    return points
