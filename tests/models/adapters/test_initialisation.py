from typing import Any

import pytest
import torch

from sparsebench.models.adapters.initialisation import adapter_dtype, fill, initialise
from sparsebench.models.sparsity.masked import MaskedConv2d, MaskedLinear


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_adapter_dtype() -> None:
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        assert adapter_dtype(torch.zeros(1, dtype=dtype)) == torch.float32
    assert adapter_dtype(torch.zeros(1, dtype=torch.float64)) == torch.float64


@pytest.mark.parametrize(("init", "down", "up", "limit"), [
    ("zero_up", (1 / 3 / 400) ** 0.5, 0.0, 1 / 400**0.5),
    ("normal", 0.02, 0.02, None),
    ("truncated", 0.0088, 0.0088, 0.02),
])  # fmt: skip
def test_inits(init: Any, down: float, up: float, limit: float | None) -> None:
    """Standard deviations; cut at two of them, a normal has 0.88 of its own."""
    pair = MaskedLinear(400, 300), MaskedLinear(300, 400)
    initialise(*pair, init, generator())
    for layer, spread in zip(pair, (down, up), strict=True):
        assert float(layer.weight.detach().std()) == pytest.approx(spread, rel=0.02)
        assert limit is None or layer.weight.abs().max().item() <= limit
        assert not layer.bias.any()


def test_xavier_counts_the_kernel_in_both_fans() -> None:
    conv = MaskedConv2d(10, 20, 3)
    fill(conv, "xavier_zero_up", generator())
    bound = (6 / (9 * 10 + 9 * 20)) ** 0.5
    largest = conv.stored.abs().max().item()
    assert 0.98 * bound < largest <= bound


def test_fill_draws_from_its_generator_alone() -> None:
    layers = [MaskedLinear(6, 4) for _ in range(3)]
    state = torch.random.get_rng_state()
    for layer, seed in zip(layers, (1, 1, 2), strict=True):
        fill(layer, "zero_up", generator(seed))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(layers[0].stored, layers[1].stored) and not torch.equal(layers[0].stored, layers[2].stored)
    fill(layers[0], "zero_up", generator(), last=True)
    assert not layers[0].stored.any()
