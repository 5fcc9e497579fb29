import pytest
import torch
from torch import Tensor

from sparsebench.models.moe.output_alignment import least_squares, match_moments


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_least_squares_beats_its_neighbours_and_finds_an_exact_factor() -> None:
    routed, target = normal(20, 4, seed=0), normal(20, 4, seed=1)
    best = least_squares(routed, target, otherwise=2.0)
    errors = [float((target - s * routed).square().sum()) for s in (best - 0.01, best, best + 0.01)]
    assert errors[1] < min(errors[0], errors[2])
    assert least_squares(routed, 3.5 * routed, otherwise=2.0) == pytest.approx(3.5)
    assert least_squares(0 * routed, target, otherwise=2.0) == 2.0


def test_moments_match() -> None:
    output, target = normal(50, 4, seed=0), 3 * normal(50, 4, seed=1) + 2
    output[:, 3] = 1.0
    gain, offset = match_moments(output, target)
    aligned = output * gain + offset
    torch.testing.assert_close(aligned.mean(0), target.mean(0))
    torch.testing.assert_close(aligned.var(0)[:3], target.var(0)[:3])
    assert float(gain[3]) == 1.0
