"""Wanda's scores against the change of the output when one weight goes."""

import pytest
import torch

from sparsebench.models.compression.linear.moments import Moments
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


def test_parts_of_the_data_add_up_before_the_root_is_taken() -> None:
    """Defect 16 of the released code: it adds |W| sqrt(part) of several devices."""
    x = torch.tensor([[3.0, 1.0], [0.0, 3.1]])
    whole, first, second = (Moments(2, full=False) for _ in range(3))
    whole.add(x)
    first.add(x[:1])
    second.add(x[1:])
    weight = torch.ones(1, 2)
    assert torch.equal(wanda(weight, first.columns + second.columns), wanda(weight, whole.columns))
    added = wanda(weight, first.columns) + wanda(weight, second.columns)
    assert not torch.allclose(added, wanda(weight, whole.columns))
