"""Replaced parameters come back after an error, and only then."""

import pytest
import torch
from torch import nn

from sparsebench.models.compression.quantisation.changes import Changes


def new(value: float) -> nn.Parameter:
    return nn.Parameter(torch.full((2, 2), value))


def test_an_error_brings_back_the_first_ones() -> None:
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    before = (one.weight, other.weight, one.bias)
    with pytest.raises(ValueError, match="stop"), Changes() as changes:
        changes.replace(one, "weight", new(1.0))
        changes.replace(other, "weight", new(2.0))
        changes.replace(one, "weight", new(3.0))
        raise ValueError("stop")
    assert one.weight is before[0] and other.weight is before[1] and one.bias is before[2]


def test_without_an_error_the_new_ones_stay() -> None:
    one = nn.Linear(2, 2)
    value = new(1.0)
    with Changes() as changes:
        changes.replace(one, "weight", value)
    assert one.weight is value
