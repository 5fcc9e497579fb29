"""The mean of a sentence is that of its real tokens."""

import pytest
import torch

from sparsebench.models.dynamic.linear.sentences import sentence_means
from sparsebench.models.errors import ModelError


def test_padding_is_not_in_the_mean() -> None:
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    real = torch.tensor([[1, 1, 1, 0, 0], [0, 1, 1, 1, 1]]).bool()
    means = sentence_means(x, real)
    torch.testing.assert_close(means[0], x[0, :3].mean(0))
    torch.testing.assert_close(means[1], x[1, 1:].mean(0))
    torch.testing.assert_close(sentence_means(x, None), x.mean(1))


def test_a_sentence_of_padding_has_mean_zero() -> None:
    x = torch.randn(1, 4, 3)
    assert not sentence_means(x, torch.zeros(1, 4, dtype=torch.bool)).any()


def test_images_are_sentences_of_pixels() -> None:
    x = torch.randn(2, 4, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(sentence_means(x, None), x.mean((1, 2)))


def test_packed_tokens_are_refused() -> None:
    with pytest.raises(ModelError, match=r"\(7, 3\)"):
        sentence_means(torch.randn(7, 3), None)
