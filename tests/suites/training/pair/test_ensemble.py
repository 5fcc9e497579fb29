"""When student and teacher can be one model at inference."""

from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from sparsebench.suites.contracts.context import Context, Setup, Target
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.training.pair.ensemble import ensemble_of

IMAGES = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))


class Rows(NamedTuple):
    """Padded tokens, as batches of texts are."""

    values: Tensor
    attention_mask: Tensor


def surroundings(inputs: Any) -> Context:
    batches = [] if inputs is None else [(inputs, torch.zeros(6))]
    return Context(suite="s", task="t", seed=0, batches=lambda: batches, target=Target("classification", 3))


def teacher(inputs: Any) -> Setup:
    return Setup(model=nn.Flatten(), data=None, context=surroundings(inputs))


def test_the_same_inputs_and_another_normalisation() -> None:
    same = ensemble_of(nn.Flatten(), surroundings(IMAGES), teacher(IMAGES), "small")
    assert same.scale is None
    torch.testing.assert_close(same(IMAGES), IMAGES.flatten(1))
    other = ensemble_of(nn.Flatten(), surroundings(IMAGES), teacher(2 * IMAGES - 1), "small")
    torch.testing.assert_close(other(IMAGES), (3 * IMAGES - 1).flatten(1) / 2)


def test_tokens() -> None:
    rows = Rows(torch.arange(12).view(6, 2), torch.ones(6, 2))
    assert ensemble_of(nn.Identity(), surroundings(rows), teacher(rows), "small").scale is None
    with pytest.raises(NotApplicable, match="the teacher small reads other inputs"):
        ensemble_of(nn.Identity(), surroundings(rows), teacher(Rows(rows.values + 1, rows.attention_mask)), "small")


def test_where_it_cannot_be() -> None:
    with pytest.raises(NotApplicable, match="images of one size"):
        ensemble_of(nn.Flatten(), surroundings(IMAGES), teacher(IMAGES[:, :, :2]), "small")
    with pytest.raises(NotApplicable, match="no calibration examples"):
        ensemble_of(nn.Flatten(), surroundings(None), teacher(IMAGES), "small")
    writes = replace(surroundings(IMAGES), target=Target("next-token", 9))
    with pytest.raises(NotApplicable, match="only where a task predicts"):
        ensemble_of(nn.Flatten(), writes, teacher(IMAGES), "small")
