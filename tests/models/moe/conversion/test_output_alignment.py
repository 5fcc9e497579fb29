from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.ffn_samples import calibrate
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.conversion.dense_ffn import DenseFFN
from sparsebench.models.moe.conversion.output_alignment import fit, least_squares, match_moments
from sparsebench.models.moe.layer import MoEFFN


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


def test_fit_sets_what_the_config_asks_for_and_nothing_else(build: Callable, example: Callable) -> None:
    """A shared block and the bias of the down projection stand outside the scale."""
    model = build("bert").double()
    seen = calibrate(model, [example(model)])
    mlp = describe(model).blocks[0].mlp
    assert mlp is not None
    dense = DenseFFN.of(mlp)
    sample = seen.samples[0]
    convert(model, MoEConfig(num_shared=1, top_k=7, score="none", scale=2.0, layers=(0,)), seen)
    layer = next(module for module in model.modules() if isinstance(module, MoEFFN))
    fit(layer, dense, sample, MoEConfig(num_shared=1))
    assert layer.scale == 2.0 and layer.alignment is None
    fit(layer, dense, sample, MoEConfig(num_shared=1, scale="calibrated"))
    assert layer.scale == pytest.approx(7.0) and layer.alignment is None  # all experts are chosen: s = k is exact
    layer.scale = 2.0
    fit(layer, dense, sample, MoEConfig(num_shared=1, align=True))
    assert layer.scale == 2.0 and layer.alignment is not None
    output, target = layer(sample.x), dense.output(sample.h)
    torch.testing.assert_close((output.mean(0), output.var(0)), (target.mean(0), target.var(0)))
