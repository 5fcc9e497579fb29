"""Splits of a prediction task, and the encoded examples that a model trains on and is evaluated on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, NoReturn, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from sparsebench.models.length_batches import length_batches

from ..contracts.context import Context, Target
from .feature_extractor import FeatureExtractor
from .passes import Passes

Pairs = Sequence[tuple[Any, Tensor]]
"""Encoded inputs with their targets."""
MOST_RESIDENT = 2**31
"""Bytes of encoded inputs of one part that may lie on an accelerator while it trains."""


class WithheldError(RuntimeError):
    """A method asked for the test part."""


class Withheld(Sequence[Any]):
    """What methods find in the place of the test part: whatever is asked of it raises `WithheldError`."""

    def __len__(self) -> int:
        self._refuse()

    def __getitem__(self, index: Any) -> Any:
        self._refuse()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what copying and pickling look for
            raise AttributeError(name)
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise WithheldError(
            "a method asked for the test part, which only its task may see: train on `data.train`, choose on `data.val`"
        )


@runtime_checkable
class Lazy(Protocol):
    """Inputs that are read when they are asked for."""

    def take(self, rows: Sequence[int]) -> Sequence[Any]:
        """Those of some rows, in this order; none is read."""
        ...


@dataclass(frozen=True)
class Examples:
    """Raw inputs and their targets: (N,) int64 class numbers, or (N, T) floats with NaN for a missing label.

    The targets are read-only here, since tasks keep their splits from cell to cell.
    """

    inputs: Sequence[Any]
    targets: np.ndarray

    def __post_init__(self) -> None:
        targets = self.targets.view()
        targets.setflags(write=False)
        object.__setattr__(self, "targets", targets)

    def take(self, rows: Sequence[int]) -> "Examples":
        """Those of some rows, in this order."""
        inputs: Any = self.inputs
        chosen: Any
        if isinstance(inputs, np.ndarray):
            chosen = inputs[rows]
        elif isinstance(inputs, Lazy):
            chosen = inputs.take(rows)
        else:
            chosen = [inputs[row] for row in rows]
        return Examples(chosen, self.targets[rows])


@dataclass(frozen=True)
class Splits:
    """The three parts of a task, fixed by its version."""

    train: Examples
    val: Examples
    test: Examples


@dataclass(frozen=True)
class PairedDataset(Sequence[tuple[Any, Tensor]]):
    """Inputs side by side with targets (N,) or (N, T); an input is looked up only when it is asked for."""

    inputs: Sequence[Any]
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return PairedDataset(self.inputs[index], self.targets[index])
        return self.inputs[index], self.targets[index]


@dataclass(frozen=True)
class TargetScaler:
    """Standardisation of regression targets by the mean and standard deviation of the training part."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, targets: np.ndarray, target: Target) -> "TargetScaler":
        """The scaler for `target`; the identity unless it is a regression."""
        if target.kind != "regression":
            return cls(torch.tensor(0.0), torch.tensor(1.0))
        mean = np.nanmean(targets, axis=0)
        std = np.nanstd(targets, axis=0)
        std = np.where(std > 0, std, 1.0)  # a constant target is only centred
        return cls(torch.tensor(mean, dtype=torch.float32), torch.tensor(std, dtype=torch.float32))

    def apply(self, targets: Tensor) -> Tensor:
        """Standardised targets; class numbers pass through."""
        if targets.dtype == torch.int64:
            return targets
        return (targets - self.mean) / self.std

    def undo(self, values: Tensor) -> Tensor:
        """Back to the original unit."""
        if values.dtype == torch.int64:
            return values
        return values * self.std + self.mean


@dataclass(frozen=True)
class PredictionData:
    """Encoded examples as (input, target) pairs, in a fixed order, and how to batch them."""

    body: FeatureExtractor
    device: torch.device
    scale: TargetScaler
    train: Pairs
    val: Pairs
    test: Pairs
    passes: Passes | None = None
    """What a cell that trains several times has computed of frozen networks."""

    def clock(self) -> float:
        """Seconds since some moment, by which a training states what it takes: a pass whose result was kept from an
        earlier training counts as long as it took then.
        """
        return perf_counter() + (0.0 if self.passes is None else self.passes.spared)

    @property
    def lengths(self) -> list[int] | None:
        """Length of each training input where batches are padded to the longest, else None."""
        if not self.body.padded:
            return None
        return [len(self.train[row][0]) for row in range(len(self.train))]

    def for_methods(self) -> "PredictionData":
        """The same without the test part, and with targets of its own: what a method edits, its task does not see."""
        return replace(self, train=_own(self.train), val=_own(self.val), test=Withheld())

    def collate(self, pairs: list[tuple[Any, Tensor]]) -> tuple[Any, Tensor]:
        """A batch: (inputs, targets), both on the cell's device."""
        items, targets = zip(*pairs, strict=True)
        inputs = self.body.collate(list(items))
        return inputs.to(self.device), torch.stack(targets).to(self.device)


def subsample_train(splits: Splits, context: Context) -> Splits:
    """`splits` with `budget.train_fraction` of the training part, at least one example, in the order they had."""
    train = splits.train
    fraction = context.budget.train_fraction
    if fraction == 1:
        return splits
    count = max(1, round(fraction * len(train.targets)))
    order = torch.randperm(len(train.targets), generator=context.task_generator("train-subset"))
    return replace(splits, train=train.take(order[:count].sort().values.tolist()))


def sample_rows(size: int, count: int | None) -> list[int]:
    """Random rows out of `size`, in their order: the same ones every time, fewer are a part of more; None takes all."""
    order = torch.randperm(size, generator=torch.Generator().manual_seed(0))
    return order[:count].sort().values.tolist()


def encode(body: FeatureExtractor, splits: Splits, target: Target, device: torch.device) -> PredictionData:
    """Encode the inputs of all parts and standardise regression targets by the training part."""
    scale = TargetScaler.of(splits.train.targets, target)
    train = resident(_encode_part(body, splits.train, scale), body, device)
    val = resident(_encode_part(body, splits.val, scale), body, device)
    test = _encode_part(body, splits.test, scale)
    return PredictionData(body, device, scale, train, val, test)


def resident(part: PairedDataset, body: FeatureExtractor, device: torch.device) -> PairedDataset:
    """A part whose inputs lie on the accelerator that reads them in every epoch, so that it waits for none of them.

    Args:
        part: encoded inputs and targets.
        body: what encoded them.
        device: where the model computes.

    Returns:
        `part` itself on the processor, for inputs of many sizes, and for those of more than `MOST_RESIDENT` bytes.
    """
    if device.type == "cpu" or not body.alike or not len(part) or len(part) * part.inputs[0].nbytes > MOST_RESIDENT:
        return part
    return replace(part, inputs=[inputs.to(device) for inputs in part.inputs])


def _encode_part(body: FeatureExtractor, part: Examples, scale: TargetScaler) -> PairedDataset:
    targets = torch.tensor(part.targets)
    if targets.dtype != torch.int64:
        targets = scale.apply(targets.float())
    inputs = body.encode(part.inputs)
    if len(inputs) != len(targets):
        raise ValueError(f"{len(inputs)} inputs, but {len(targets)} targets")
    return PairedDataset(inputs, targets)


def _own(part: Pairs) -> Pairs:
    return replace(part, targets=part.targets.clone()) if isinstance(part, PairedDataset) else part


def targets_of(part: Pairs) -> Tensor:
    """All targets of a part: (N,) class numbers or (N, T)."""
    if isinstance(part, PairedDataset):
        return part.targets
    return torch.stack([target for _, target in part])


def batch_rows(part: Pairs, body: FeatureExtractor, batch_size: int) -> list[list[int]]:
    """Row numbers of the batches that a part is evaluated in: in order, or by length where batches are padded."""
    lengths = [1] * len(part)
    if body.padded:
        lengths = [len(part[row][0]) for row in range(len(part))]
    return [batch.tolist() for batch in length_batches(lengths, batch_size, keep_empty=True)]
