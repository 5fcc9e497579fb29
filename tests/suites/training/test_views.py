"""Two views of the same examples stay side by side, batch by batch."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from sparsebench.suites.training.data_order import MapOrder
from sparsebench.suites.training.processes import Processes
from sparsebench.suites.training.settings import TrainSettings
from sparsebench.suites.training.views import BothViews


@dataclass(frozen=True)
class Numbers:
    """Examples 0 to `count` - 1, times a factor; row r has length r + 1 where rows have lengths."""

    factor: int
    count: int = 10
    ragged: bool = False

    @property
    def train(self) -> list[int]:
        return [self.factor * number for number in range(self.count)]

    @property
    def lengths(self) -> list[int] | None:
        return list(range(1, self.count + 1)) if self.ragged else None

    def collate(self, examples: list[int]) -> Tensor:
        return torch.tensor(examples)


@pytest.mark.parametrize("ragged", [False, True])
def test_batches_hold_the_same_examples_in_both_views(ragged: bool) -> None:
    both = BothViews(Numbers(1, ragged=ragged), Numbers(100))
    assert both.lengths == Numbers(1, ragged=ragged).lengths
    order = MapOrder(both, TrainSettings(epochs=1, batch_size=4, seed=3), Processes(torch.device("cpu")))
    drawn = order.take(9)
    assert len(drawn) == 2
    for first, second in (one.batch for one in drawn):
        assert len(first) == 4 and torch.equal(100 * first, second)


def test_a_part_of_the_pairs_is_a_part_of_each_view() -> None:
    pairs = BothViews(Numbers(1), Numbers(100)).train
    assert list(pairs[2:4]) == [(2, 200), (3, 300)]
    assert len(pairs[::3]) == 4


def test_unequal_sets_are_refused() -> None:
    with pytest.raises(ValueError, match="10 and 9 examples are no two views of the same"):
        BothViews(Numbers(1), Numbers(1, count=9))
