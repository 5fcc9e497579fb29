import json
from collections import Counter
from itertools import islice

import pytest
from scipy import stats
from torch.utils.data import DataLoader

from sparsebench.data.errors import DryStreamError, MixtureError
from sparsebench.data.mixtures.dataset import MixtureDataset

ROWS = {name: [f"{name} {row}" for row in range(size)] for name, size in {"a": 30, "b": 5, "c": 200}.items()}
WEIGHTS = {"a": 0.2, "b": 0.3, "c": 0.5}
LATER = {"a": 0.8, "b": 0.1, "c": 0.1}
LEAD = 6
"""Batches: two workers read two ahead each."""


def mixture(length=20_000):
    return MixtureDataset(ROWS, WEIGHTS, length=length, seed=0)


def loader(dataset, workers, batch_size=8, **options):
    return DataLoader(dataset, batch_size=batch_size, num_workers=workers, collate_fn=list, **options)


def trained(dataset, workers, batches=60, **options):
    """What a training sees that changes the weights after batches 10, 20, ..., LEAD batches ahead."""
    seen = []
    for number, batch in enumerate(islice(loader(dataset, workers, **options), batches), 1):
        seen.append(batch)
        if number % 10 == 0:
            weights = LATER if number % 20 else WEIGHTS
            dataset.set_weights(weights, from_draw=(number + LEAD) * len(batch))
    return seen


def test_an_item_is_a_draw():
    dataset = mixture()
    expected = [ROWS[name][row] for name, row in mixture().draws.take(0, 100)]
    assert [dataset[draw] for draw in range(100)] == expected
    assert dataset.__getitems__([7, 3, 50]) == [expected[7], expected[3], expected[50]]
    assert len(dataset) == 20_000


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_see_changed_weights_and_give_the_same_draws(context):
    alone = trained(mixture(), 0)
    assert trained(mixture(), 2, multiprocessing_context=context) == alone
    share_of_a = [sum(row.startswith("a") for batch in part for row in batch) for part in (alone[:16], alone[16:26])]
    assert share_of_a[0] / 128 < 0.4 < 0.6 < share_of_a[1] / 80


@pytest.mark.parametrize("workers", [0, 2])
def test_draws_after_a_change_are_as_frequent_as_the_weights_say(workers):
    dataset = mixture()
    batches = iter(loader(dataset, workers, batch_size=100))
    for _ in range(10):
        next(batches)
    dataset.set_weights(LATER, from_draw=2000)
    for _ in range(10):
        next(batches)
    drawn = Counter(row[0] for batch in islice(batches, 100) for row in batch)
    assert stats.chisquare([drawn[name] for name in ROWS], [10_000 * LATER[name] for name in ROWS]).pvalue > 0.001


def test_a_change_of_what_workers_have_read_ahead_is_refused():
    dataset = mixture()
    batches = iter(loader(dataset, 2))
    for _ in range(3):
        next(batches)
    with pytest.raises(MixtureError, match="loaders read ahead"):
        dataset.set_weights(LATER, from_draw=24)
    assert dataset.weights == WEIGHTS
    assert dataset.taken >= 24


def test_a_worker_that_drew_too_far_says_so_itself():
    """The change came between the look and the draw: the next look finds it."""
    dataset = mixture()
    dataset.__getitems__(range(50))
    dataset._ends.zero_()
    dataset.draws.taken = 0
    dataset.set_weights(LATER, from_draw=40)
    dataset.draws.taken = 50
    dataset._seen = 0
    with pytest.raises(MixtureError, match="draws below 50 are taken"):
        dataset[50]


def test_a_state_goes_on_by_skipping_what_was_seen():
    whole = trained(mixture(), 0)
    dataset = mixture()
    assert trained(dataset, 2, batches=35) == whole[:35]
    again = mixture()
    again.load_state_dict(json.loads(json.dumps(dataset.state_dict())))
    rest = DataLoader(again, batch_size=8, sampler=range(35 * 8, 46 * 8), num_workers=2, collate_fn=list)
    assert list(rest) == whole[35:46]


def test_ranks_that_share_out_batches_give_the_same():
    whole = trained(mixture(), 0, batches=8)
    for ranks in (1, 2, 4):
        parts = [list(loader(mixture(64), 0))[rank::ranks] for rank in range(ranks)]
        merged = [parts[number % ranks][number // ranks] for number in range(8)]
        assert merged == whole


def test_beyond_the_last_item():
    dataset = mixture(length=10)
    with pytest.raises(IndexError, match="item 10 of a mixture of 10"):
        dataset[10]
    with pytest.raises(MixtureError, match="0 items"):
        mixture(length=0)


def test_a_data_set_that_is_not_repeated():
    dataset = MixtureDataset(ROWS, WEIGHTS, length=500, seed=0, repeat=False)
    with pytest.raises(DryStreamError, match="'b' ran dry"):
        dataset.__getitems__(range(100))


def test_the_table_of_changes_has_an_end(monkeypatch):
    monkeypatch.setattr("sparsebench.data.mixtures.dataset.MOST_CHANGES", 2)
    dataset = mixture()
    dataset.set_weights(LATER, 10)
    dataset.set_weights(WEIGHTS, 20)
    with pytest.raises(MixtureError, match="changed 2 times"):
        dataset.set_weights(LATER, 30)
