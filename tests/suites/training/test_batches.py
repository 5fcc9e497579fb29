"""Batches of a data set: random order, or examples of similar length together."""

from typing import Any

import pytest
import torch

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.training.batches import SimilarLengths, batch_loader


def test_batches_of_similar_lengths_hold_every_example_once() -> None:
    lengths = torch.randint(1, 60, (500,), generator=torch.Generator().manual_seed(0)).tolist()
    batches = list(SimilarLengths(lengths, 8, drop_last=False, generator=torch.Generator().manual_seed(1)))
    assert sorted(row for batch in batches for row in batch) == list(range(500))
    assert sorted(map(len, batches)) == [4] + [8] * 62
    padding = sum(max(lengths[row] for row in batch) * len(batch) for batch in batches) / sum(lengths)
    assert padding < 1.15, "random batches of 8 are padded to 1.8 times their tokens"


def test_orders_of_similar_lengths_follow_the_generator() -> None:
    lengths = list(range(40))
    sampler = SimilarLengths(lengths, 8, drop_last=True, generator=torch.Generator().manual_seed(1))
    first, second = list(sampler), list(sampler)
    assert first != second and len(first) == len(sampler) == 5
    again = SimilarLengths(lengths, 8, drop_last=True, generator=torch.Generator().manual_seed(1))
    assert list(again) == first


class Rows:
    """Numbers, each as long as itself if `lengths` says so."""

    def __init__(self, count: int, padded: bool) -> None:
        self.train = list(range(1, count + 1))
        self.lengths = self.train if padded else None

    def collate(self, examples: list[Any]) -> list[int]:
        return list(examples)


@pytest.mark.parametrize("padded", [False, True])
def test_a_last_smaller_batch_is_dropped_unless_it_is_the_only_one(padded: bool) -> None:
    context = Context(suite="s", task="t", seed=0, budget=Budget(batch_size=4))
    assert [len(batch) for batch in batch_loader(Rows(10, padded), context)] == [4, 4]
    assert [len(batch) for batch in batch_loader(Rows(3, padded), context)] == [3]


@pytest.mark.parametrize("padded", [False, True])
def test_the_order_is_new_in_each_epoch_and_the_same_for_each_run(padded: bool) -> None:
    context = Context(suite="s", task="t", seed=0, budget=Budget(batch_size=4))
    loader = batch_loader(Rows(40, padded), context)
    first, second = list(loader), list(loader)
    again = batch_loader(Rows(40, padded), context)
    assert first != second and [first, second] == [list(again), list(again)]
    assert sorted(row for batch in first for row in batch) == list(range(1, 41))
