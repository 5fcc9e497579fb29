from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.splits import SplitInput
from sparsebench.models.moe.splits.activation_mask import top_activation_mask

Input = Callable[..., SplitInput]


def slow_mask(h: Tensor, count: int) -> Tensor:
    marks = torch.zeros(h.shape[1], len(h))
    for t, row in enumerate(h):
        for neuron in sorted(range(len(row)), key=lambda i: -abs(row[i].item()))[:count]:
            marks[neuron, t] = 1
    return marks


@pytest.mark.parametrize("count", [1, 5, 50, 80])
def test_mask(count: int, ffn_input: Input) -> None:
    sample = ffn_input(MoEConfig()).sample
    assert sample is not None
    assert top_activation_mask(sample.h, count).equal(slow_mask(sample.h, count))
    assert top_activation_mask(-sample.h, count).equal(slow_mask(sample.h, count))


def test_of_equal_activations_the_stated_number_is_active() -> None:
    mask_FT = top_activation_mask(torch.ones(3, 6), 2)
    assert mask_FT.shape == (6, 3) and mask_FT.dtype == torch.float32
    assert mask_FT.sum(0).tolist() == [2.0, 2.0, 2.0]
