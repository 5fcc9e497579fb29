"""Sums over tokens, against those of all tokens at once in float64."""

import pytest
import torch

from sparsebench.models.compression.linear.moments import Moments


def tokens(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 7, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_over_batches(weighted: bool) -> None:
    parts = [tokens(5, 0), tokens(3, 1)]
    gates = [torch.rand(5), torch.rand(3)]
    full, diagonal = Moments(7, full=True), Moments(7, full=False)
    for x, gate in zip(parts, gates, strict=True):
        full.add(x, gate if weighted else None)
        diagonal.add(x, gate if weighted else None)
    x = torch.cat(parts).double()
    if weighted:
        x = x * torch.cat(gates).double()[:, None]
    torch.testing.assert_close(full.matrix.double(), x.T @ x, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(diagonal.columns, (x**2).sum(0), rtol=1e-6, atol=0)
    torch.testing.assert_close(full.columns, diagonal.columns, rtol=1e-5, atol=0)
    assert full.tokens == diagonal.tokens == 8


def test_float64_stays() -> None:
    full = Moments(7, full=True)
    full.add(tokens(4, 0).double())
    assert full.matrix.dtype == torch.float64


def test_memory_is_what_is_held() -> None:
    full, diagonal = Moments(7, full=True), Moments(7, full=False)
    for one in (full, diagonal):
        one.add(tokens(4, 0))
    assert full.nbytes == full.matrix.nbytes and diagonal.nbytes == diagonal.columns.nbytes
