"""The one training loop: AdamW, linear warm-up and cosine decay, last epoch, data order from the cell's seed."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import BatchSampler, DataLoader

from sparsebench.models.sparsity.masked import Masked

from ..contracts.context import Context
from ..contracts.method import Curves, Method

CURVE_POINTS = 200
POOL = 16
"""Batches among which examples are sorted by length."""


class TrainingData(Protocol):
    """What the loop needs of a data set."""

    @property
    def train(self) -> Sequence[Any]:
        """Training examples."""
        ...

    @property
    def lengths(self) -> Sequence[int] | None:
        """Length of each training example where batches are padded to the longest, else None."""
        ...

    def collate(self, examples: list[Any]) -> Any:
        """One batch, as `Context.loss` takes it."""
        ...


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


@dataclass(frozen=True, kw_only=True)
class TrainedMethod(Method):
    """A method whose model is trained by the loop of this module."""

    learning_rate: float = 1e-3
    """Peak learning rate."""
    weight_decay: float = 1e-2
    """AdamW's decoupled decay, on tensors with two or more dimensions."""
    warmup: float = 0.1
    """Share of the steps that the learning rate rises."""

    def loss(self, model: nn.Module, batch: Any, context: Context) -> Tensor:
        """Training loss; override to add a balance or distillation term."""
        return context.loss(model, batch)

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """Hooks into the loop, in order."""
        return ()

    def fit(self, model: nn.Module, data: TrainingData, context: Context) -> Curves:
        """Train the parameters that require a gradient, for `budget.epochs` epochs."""
        return train(self, model, data, context)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: matrices, pruned ones too, with decay; biases, norms and scales without."""
    matrices = {id(layer.stored) for layer in model.modules() if isinstance(layer, Masked)}
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise ValueError("nothing to train: no parameter of the prepared model requires a gradient")
    return [
        {"params": [p for p in trainable if p.ndim >= 2 or id(p) in matrices], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim < 2 and id(p) not in matrices], "weight_decay": 0.0},
    ]


def warmup_cosine(step: int, steps: int, warmup: float) -> float:
    """Factor on the learning rate: linear rise over `warmup * steps` steps, then a cosine down to 0."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _loader(data: TrainingData, context: Context) -> DataLoader:
    size, generator = context.budget.batch_size, context.task_generator("data-order")
    drop_last = len(data.train) > size  # a last batch of one spoils batch statistics
    if data.lengths is None:
        order: dict[str, Any] = {"batch_size": size, "shuffle": True, "drop_last": drop_last, "generator": generator}
    else:
        order = {"batch_sampler": SimilarLengths(data.lengths, size, drop_last, generator)}
    return DataLoader(data.train, collate_fn=data.collate, **order)  # type: ignore[arg-type]


class SimilarLengths(BatchSampler):
    """Batches of examples of similar length, so that little is padded: each pool of random examples is cut by length.

    The batches of an epoch come in random order. Without `drop_last` one of them may be smaller.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, drop_last: bool, generator: torch.Generator) -> None:
        super().__init__(range(len(lengths)), batch_size, drop_last)
        self.lengths, self.generator = lengths, generator

    def __iter__(self) -> Iterator[list[int]]:
        rows = torch.randperm(len(self.lengths), generator=self.generator).tolist()
        if self.drop_last:
            rows = rows[: len(self) * self.batch_size]
        pool = POOL * self.batch_size
        rows = [
            row for start in range(0, len(rows), pool) for row in sorted(rows[start : start + pool], key=self._length)
        ]
        batches = [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]
        yield from (batches[i] for i in torch.randperm(len(batches), generator=self.generator).tolist())

    def _length(self, row: int) -> int:
        return self.lengths[row]


def train(method: TrainedMethod, model: nn.Module, data: TrainingData, context: Context) -> Curves:
    """Run the loop; returns the training loss by step. Raises FloatingPointError when the loss is not finite."""
    accelerator = Accelerator(cpu=context.device.type == "cpu")
    loader = _loader(data, context)
    steps = context.budget.epochs * len(loader)
    optimizer = torch.optim.AdamW(parameter_groups(model, method.weight_decay), lr=method.learning_rate)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, steps, method.warmup))
    prepared, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    state = TrainingState(prepared, optimizer, loader)
    callbacks = method.callbacks(context)
    losses: list[float] = []
    for callback in callbacks:
        callback.on_start(state)
    for state.epoch in range(context.budget.epochs):
        prepared.train()
        for batch in loader:
            with torch.autocast(context.device.type, torch.bfloat16, enabled=context.dtype is torch.bfloat16):
                loss = method.loss(prepared, batch, context)
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
    width = math.ceil(len(losses) / CURVE_POINTS) or 1
    chunks = [losses[start : start + width] for start in range(0, len(losses), width)]
    return [(float(index * width + len(chunk)), sum(chunk) / len(chunk)) for index, chunk in enumerate(chunks)]
