"""Specialised neurons by hand, and numbers of blocks that keep their sum."""

import itertools
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sparsebench.models.calibration.ffn_samples import calibrate
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.conversion.allocation.variation import apportioned, by_variation, specialised

FRACTIONS = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@torch.no_grad()
def test_specialised_is_the_coefficient_of_variation_over_examples(
    build: Callable[[str], nn.Module], example: Callable
) -> None:
    model = build("llama")
    seen = calibrate(model, [example(model)])
    layer = model.model.layers[0].mlp  # type: ignore[union-attr]
    size = F.silu(seen.samples[0].x @ layer.gate_proj.weight.T).abs()
    means = torch.stack([size[seen.document == number].mean(0) for number in range(int(seen.document.max()) + 1)])
    variation = means.std(0, correction=0) / means.mean(0)
    middle = float(variation.median())
    assert specialised(model, seen, middle)[0] == pytest.approx(float((variation > middle).float().mean()))
    assert specialised(model, seen, 1e9) == [0.0] * len(seen.samples)
    assert specialised(model, seen, -1.0) == [1.0] * len(seen.samples)


@given(fractions=FRACTIONS, blocks=st.integers(4, 64), shared=st.integers(0, 6), extra=st.integers(1, 4))
def test_the_total_is_kept(fractions: list[float], blocks: int, shared: int, extra: int) -> None:
    most = shared + extra - 1
    found = by_variation(fractions, blocks=blocks, shared=shared, most=most)
    assert sum(found) == shared * len(fractions) and all(0 <= number <= most for number in found)
    pairs = sorted(zip(fractions, found, strict=True))
    assert all(a[1] >= b[1] for a, b in itertools.pairwise(pairs) if a[0] < b[0] - 1e-9)


@given(fraction=st.floats(0, 1), layers=st.integers(1, 9), shared=st.integers(0, 5))
def test_layers_that_look_alike_are_uniform(fraction: float, layers: int, shared: int) -> None:
    assert by_variation([fraction] * layers, blocks=8, shared=shared, most=6) == (shared,) * layers


def test_by_hand() -> None:
    """Wanted: 2 + 8 * 0.5 * (0.5 - r) = 3, 1, 3, 1."""
    assert by_variation([0.25, 0.75, 0.25, 0.75], blocks=8, shared=2, most=3) == (3, 1, 3, 1)
    assert apportioned([1.4, 1.4, 1.4], 4, 3) == (2, 1, 1)
    with pytest.raises(ModelError, match="cannot have the sum 7"):
        apportioned([1.0, 1.0], 7, 3)
