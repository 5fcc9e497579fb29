"""Batches of a data set in an order that comes from the cell's seed, examples of similar length together."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch.utils.data import BatchSampler, DataLoader

from ..contracts.context import Context

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


def batch_loader(data: TrainingData, context: Context) -> DataLoader:
    """The training part in random order; a part smaller than a batch is one batch."""
    size = context.budget.batch_size
    generator = context.task_generator("data-order")
    drop_last = len(data.train) > size  # a last batch of one spoils batch statistics
    order: dict[str, Any]
    if data.lengths is None:
        order = {"batch_size": size, "shuffle": True, "drop_last": drop_last, "generator": generator}
    else:
        order = {"batch_sampler": SimilarLengths(data.lengths, size, drop_last, generator)}
    return DataLoader(data.train, collate_fn=data.collate, **order)  # type: ignore[arg-type]


class SimilarLengths(BatchSampler):
    """Batches of examples of similar length, so that little is padded: each pool of random examples is cut by length.

    The batches of an epoch come in random order. Without `drop_last` one of them may be smaller.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, drop_last: bool, generator: torch.Generator) -> None:
        super().__init__(range(len(lengths)), batch_size, drop_last)
        self.lengths = lengths
        self.generator = generator

    def __iter__(self) -> Iterator[list[int]]:
        rows = torch.randperm(len(self.lengths), generator=self.generator).tolist()
        if self.drop_last:
            rows = rows[: len(self) * self.batch_size]
        pool_size = POOL * self.batch_size
        by_length: list[int] = []
        for start in range(0, len(rows), pool_size):
            by_length += sorted(rows[start : start + pool_size], key=self._length)
        batches = [by_length[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]
        for number in torch.randperm(len(batches), generator=self.generator).tolist():
            yield batches[number]

    def _length(self, row: int) -> int:
        return self.lengths[row]
