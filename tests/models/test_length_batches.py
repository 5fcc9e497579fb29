"""Batches of similar length: every row once, drawn by the generator, little padding."""

import numpy as np
import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.tokens.tokenizer import Tokenizer
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary
from sparsebench.models.length_batches import length_batches, padding_fraction

TOKENIZER = Tokenizer(Vocabulary.improved())


@pytest.mark.parametrize("seed", [None, 3])
def test_batches_hold_every_row_once(seed: int | None):
    lengths = np.random.default_rng(0).integers(0, 50, size=1003)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    batches = length_batches(lengths, 64, generator)
    assert sorted(np.concatenate(batches).tolist()) == np.flatnonzero(lengths).tolist()
    sizes = sorted(len(batch) for batch in batches)
    assert sizes[0] == np.count_nonzero(lengths) % 64 and set(sizes[1:]) == {64}


def test_shuffling_follows_the_generator():
    lengths = np.random.default_rng(0).integers(1, 50, size=500)

    def epoch(generator: torch.Generator | None) -> list[list[int]]:
        return [batch.tolist() for batch in length_batches(lengths, 16, generator)]

    generator = torch.Generator().manual_seed(1)
    first, second = epoch(generator), epoch(generator)
    assert first != second and epoch(torch.Generator().manual_seed(1)) == first and epoch(None) == epoch(None)
    assert sorted(map(sorted, first)) != sorted(map(sorted, second))  # also who is with whom
    with pytest.raises(ModelError, match="batch_size=0"):
        length_batches(lengths, 0)


def test_padding_fraction_by_hand():
    assert padding_fraction([2, 4, 4, 1], [np.array([0, 1]), np.array([2, 3])]) == pytest.approx(1 - 11 / 16)
    assert padding_fraction([], []) == 0


@pytest.mark.data
def test_less_than_one_percent_of_moses_is_padding():
    from sparsebench.data.molecules.moses import moses

    lengths = TOKENIZER(moses("test")[::36]).lengths
    for size in (64, 128):
        batches = length_batches(lengths, size, torch.Generator().manual_seed(0))
        assert padding_fraction(lengths, batches) < 0.01
    shuffled = np.array_split(np.random.default_rng(0).permutation(len(lengths)), len(lengths) // 64)
    assert padding_fraction(lengths, shuffled) > 0.1


def test_rows_are_sorted_within_pools_and_a_smaller_last_batch_may_go():
    lengths = np.random.default_rng(0).integers(0, 50, size=203)
    batches = length_batches(lengths, 8, pool=2, keep_empty=True)
    assert np.concatenate(batches[:2]).tolist() == sorted(range(16), key=lambda row: lengths[row])
    assert sorted(np.concatenate(batches).tolist()) == list(range(203)) and len(batches[-1]) == 3
    whole = length_batches(lengths, 8, torch.Generator().manual_seed(0), pool=2, drop_last=True, keep_empty=True)
    assert {len(batch) for batch in whole} == {8} and len(whole) == 25
    again = length_batches(lengths, 8, torch.Generator().manual_seed(0), pool=10**6, drop_last=True, keep_empty=True)
    everything = length_batches(lengths, 8, torch.Generator().manual_seed(0), drop_last=True, keep_empty=True)
    assert [batch.tolist() for batch in again] == [batch.tolist() for batch in everything]
