"""Wanda's scores against the change of the output when one weight goes."""

import pytest
import torch

from sparsebench.models.compression.slimming.patterns import Pattern
from sparsebench.models.compression.slimming.wanda import wanda


def test_a_score_is_how_far_the_outputs_move_without_the_weight() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    x = torch.randn(20, 5, generator=generator, dtype=torch.float64)
    score = wanda(weight, (x**2).sum(0))
    for row in range(3):
        for column in range(5):
            less = weight.clone()
            less[row, column] = 0
            assert float(score[row, column]) == pytest.approx(float((x @ (weight - less).T).norm()))


def test_equal_inputs_give_the_magnitude() -> None:
    weight = torch.randn(8, 12, generator=torch.Generator().manual_seed(1))
    for name in ("row", "unstructured", "2:4"):
        pattern = Pattern(name, 0.5)
        assert torch.equal(pattern.keep(wanda(weight, torch.full((12,), 3.0))), pattern.keep(weight.abs()))
