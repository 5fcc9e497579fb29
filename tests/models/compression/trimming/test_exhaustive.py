"""The best of all sets, against models that have really lost them."""

import copy
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.models.compression.trimming.attention_drop import drop_attentions
from sparsebench.models.compression.trimming.block_drop import drop_blocks
from sparsebench.models.compression.trimming.exhaustive import all_sets, best_set, check_count
from sparsebench.models.compression.trimming.layer_drop import drop_layers
from sparsebench.models.errors import ModelError

from ...zoo.text_families import padded_inputs
from .test_block_drop import mixtral

DROPS: dict[str, Callable[[nn.Module, Any], object]] = {
    "mlp": drop_layers,
    "attention": drop_attentions,
    "block": drop_blocks,
}


@torch.no_grad()
def loss_of(model: Any) -> float:
    batch = padded_inputs(model)
    return float(model(**batch, labels=batch["input_ids"]).loss)


@pytest.mark.parametrize("part", DROPS)
def test_the_best_pair_is_the_one_whose_removal_costs_least(part: Any) -> None:
    model = mixtral()
    before = loss_of(model)
    losses = {}
    for pair in combinations(range(6), 2):
        smaller = copy.deepcopy(model)
        DROPS[part](smaller, pair)
        losses[pair] = loss_of(smaller)
    found, least = best_set(model, all_sets(range(6), 2, 15), part, lambda: loss_of(model))
    assert found == min(losses, key=losses.__getitem__)
    assert least == pytest.approx(losses[found], abs=1e-9)
    assert loss_of(model) == before and len(set(losses.values())) > 1


def test_of_equal_sets_the_last_and_no_nan() -> None:
    model = mixtral()
    sets = all_sets([1, 3, 5], 2, 3)
    assert sets == [(1, 3), (1, 5), (3, 5)]
    assert best_set(model, sets, "mlp", lambda: 1.0) == ((3, 5), 1.0)
    assert best_set(model, sets, "mlp", lambda: float("inf"))[0] == (3, 5)
    with pytest.raises(ModelError, match=r"the loss without mlp of the blocks \[1, 3\] is NaN"):
        best_set(model, sets, "mlp", lambda: float("nan"))
    with pytest.raises(ModelError, match="there is no set to try"):
        best_set(model, [], "mlp", lambda: 1.0)


def test_too_many_sets_are_refused() -> None:
    with pytest.raises(ModelError, match="there are 20 sets to try, more than 19"):
        all_sets(range(6), 3, 19)
    with pytest.raises(ModelError, match="n=7 must be"):
        all_sets(range(6), 7, 19)
    check_count(19, 19)
    assert all_sets(range(3), 0, 1) == [()]
