from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sparsebench.models.adapters.attachment import attach
from sparsebench.models.adapters.kinds.lora import LoRAConfig
from sparsebench.models.adapters.pruning.sparsify import sparsify
from sparsebench.models.sparsity.budgets import erdos_renyi, kept_after, raw_density

SHAPE = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(1, 3), st.integers(1, 3)),
)


def solve(shapes: list, keep: int, kernel: bool) -> list[float]:
    """Densities min(1, epsilon * raw) that keep `keep` entries, by bisection for epsilon."""
    sizes = [torch.Size(shape).numel() for shape in shapes]
    low, high = 0.0, 1e9
    for _ in range(200):
        middle = (low + high) / 2
        total = sum(min(1, middle * raw_density(s, kernel)) * n for s, n in zip(shapes, sizes, strict=True))
        low, high = (middle, high) if total < keep else (low, middle)
    return [min(1, high * raw_density(shape, kernel)) for shape in shapes]


def test_raw_densities() -> None:
    assert raw_density((3, 5), True) == raw_density((3, 5), False) == 8 / 15
    assert raw_density((3, 5, 2, 4), False) == 8 / 15 and raw_density((3, 5, 2, 4), True) == 14 / 120


@settings(deadline=None)
@given(shapes=st.lists(SHAPE, min_size=1, max_size=6), density=st.floats(0, 1), kernel=st.booleans())
def test_epsilon_solves_the_budget(shapes: list, density: float, kernel: bool) -> None:
    """The sum is exact, each layer within one entry of its density, and clipped layers keep everything."""
    sizes = [torch.Size(shape).numel() for shape in shapes]
    keep = round(density * sum(sizes))
    kept, exact = erdos_renyi(shapes, sizes, keep, kernel=kernel), solve(shapes, keep, kernel)
    assert sum(kept) == keep and all(0 <= k <= n for k, n in zip(kept, sizes, strict=True))
    for k, d, n in zip(kept, exact, sizes, strict=True):
        assert abs(k - d * n) < 1 + 1e-6 and (d < 1 or k == n)


def test_clipping_redistributes() -> None:
    """Raw densities .2 and 1.5: at 60 of 104 the small layer is full and the large one takes the rest."""
    assert erdos_renyi([(10, 10), (2, 2)], [100, 4], 60, kernel=False) == [56, 4]
    assert erdos_renyi([(10, 10), (2, 2)], [30, 4], 34, kernel=False) == [30, 4]


def test_equal_shapes_get_equal_densities() -> None:
    assert erdos_renyi([(8, 32), (32, 8)] * 3, [256] * 6, 768, kernel=True) == [128] * 6


@pytest.mark.parametrize("method", ["er", "erk"])
def test_narrow_layers_are_kept_denser(method: str, build: Callable[[str], nn.Module]) -> None:
    adapters = attach(build("timm_vit"), LoRAConfig(r=4, init="normal", targets=("linears",)))
    report = sparsify(adapters, method=method, density=0.3, generator=torch.Generator().manual_seed(0))
    ratios = {
        round(layer.density / raw_density(m.shape, True), 2)
        for layer, m in zip(report.layers, adapters.prunable().values(), strict=True)
    }
    assert len({layer.total for layer in report.layers}) > 1 and max(ratios) - min(ratios) < 0.03


@settings(deadline=None)
@given(start=st.integers(1, 5000), share=st.floats(0, 1), rounds=st.integers(1, 100))
def test_schedules(start: int, share: float, rounds: int) -> None:
    end = round(share * start)
    for schedule in ("exponential", "linear"):
        kept = [kept_after(step, rounds, start, end, schedule) for step in range(1, rounds + 1)]
        assert kept[-1] == end and all(a >= b for a, b in zip([start, *kept], kept, strict=False))
    exponential = [kept_after(step, rounds, start, end, "exponential") for step in range(rounds + 1)]
    assert all(abs(k - start * (end / start) ** (t / rounds)) <= 0.5 + 1e-9 for t, k in enumerate(exponential) if t)
    assert kept_after(1, 2, 1000, 10, "exponential") == 100 and kept_after(1, 2, 1000, 10, "linear") == 505
