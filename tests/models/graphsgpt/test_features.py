"""Pooling of graph words, and words that are the same at every call."""

import pytest
import torch

from sparsebench.models.graphsgpt.features import Pool, pooled, width_of, words_of

from .model_cases import batch, small


@pytest.mark.parametrize("pool", ["first", "mean", "concat"])
def test_features_are_linear_and_as_wide_as_stated(pool: Pool) -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(4, 3, 32, generator=generator) for _ in range(2))
    assert pooled(one, pool).shape == (4, width_of(small().encoder, pool))
    torch.testing.assert_close(pooled(2 * one - other, pool), 2 * pooled(one, pool) - pooled(other, pool))


def test_each_pool_by_hand() -> None:
    words = torch.tensor([[[1.0, 2.0], [3.0, 6.0]]])
    assert pooled(words, "first").tolist() == [[1.0, 2.0]]
    assert pooled(words, "mean").tolist() == [[2.0, 4.0]]
    assert pooled(words, "concat").tolist() == [[1.0, 2.0, 3.0, 6.0]]


@torch.no_grad()
def test_words_from_canonical_ids_are_those_of_the_encoder_with_such() -> None:
    tokens = batch()
    plain, random = small().encoder, small(encoder_ids="random").encoder
    torch.testing.assert_close(words_of(plain, tokens), plain(tokens))
    torch.testing.assert_close(words_of(random, tokens), plain(tokens))  # weights follow the seed alone
