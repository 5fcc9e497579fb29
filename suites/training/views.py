"""The same examples as two networks see them: each encoded in its own way, side by side in one batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .data_order import TrainingData


@dataclass(frozen=True)
class _Pairs(Sequence[tuple[Any, Any]]):
    """Example by example, looked up only when asked for."""

    first: Sequence[Any]
    second: Sequence[Any]

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return _Pairs(self.first[index], self.second[index])
        return self.first[index], self.second[index]


class BothViews:
    """Two training sets with the same examples in the same order, as one whose batches are (first, second).

    teacher = context.load_backbone("tiny")
    train(models, BothViews(data, teacher.data), loss, ...)  # loss(models, (own, of_the_teacher))

    Batches are made by the lengths of the first, if it has lengths. Raises ValueError for unequal numbers of examples.
    """

    def __init__(self, first: TrainingData, second: TrainingData) -> None:
        if len(first.train) != len(second.train):
            raise ValueError(
                f"{len(first.train)} and {len(second.train)} examples are no two views of the same: set both up with "
                "one task, seed and budget"
            )
        self.first = first
        self.second = second

    @property
    def train(self) -> Sequence[tuple[Any, Any]]:
        """Pairs of examples."""
        return _Pairs(self.first.train, self.second.train)

    @property
    def lengths(self) -> Sequence[int] | None:
        """Those of the first."""
        return self.first.lengths

    def collate(self, examples: list[tuple[Any, Any]]) -> tuple[Any, Any]:
        """A batch of each."""
        first, second = zip(*examples, strict=True)
        return self.first.collate(list(first)), self.second.collate(list(second))
