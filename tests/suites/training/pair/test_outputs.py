"""What a model says while a loss runs it."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.suites.training.pair.outputs import joined, outputs_of


class Wordy(nn.Module):
    """As models of transformers answer."""

    def forward(self, x: Tensor) -> Any:
        return SimpleNamespace(logits=2 * x)


def test_tensors_and_logits_are_collected_once_for_each_call() -> None:
    plain, wordy = nn.Linear(3, 4), Wordy()
    x = torch.randn(2, 5, 3)
    with outputs_of(plain) as said, outputs_of(wordy) as heard:
        first = plain(x)
        wordy(x)
        wordy(x[:1])
    plain(x)
    assert len(said) == 1 and said[0] is first
    torch.testing.assert_close(joined(heard, 3), torch.cat([2 * x.flatten(0, 1), 2 * x[0]]))


def test_the_hook_goes_even_where_the_loss_fails() -> None:
    model = nn.Linear(1, 1)
    with pytest.raises(ZeroDivisionError), outputs_of(model):
        raise ZeroDivisionError
    assert not model._forward_hooks


def test_rows_of_the_embedding_that_no_token_has_go() -> None:
    assert joined([torch.arange(8.0).view(2, 4)], 3).tolist() == [[0, 1, 2], [4, 5, 6]]


def test_a_loss_that_does_not_call_the_model() -> None:
    with pytest.raises(ValueError, match="did not call the model"):
        joined([], 3)
