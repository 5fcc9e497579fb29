from itertools import pairwise
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from sparsebench.models.dynamic.convolution.frequencies import BandModulation, frequency_groups, low_pass

from .reference import shaken


@pytest.mark.parametrize(("rows", "columns", "groups"), [(12, 9, 5), (7, 10, 4), (8, 8, 64), (6, 1, 2)])
def test_groups_are_disjoint_from_low_to_high_and_of_equal_size(rows: int, columns: int, groups: int) -> None:
    """By the full spectrum of each part: every frequency is in one of them, with its mirror image."""
    group = frequency_groups(rows, columns, groups)
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    spectrum = torch.fft.rfft2(matrix)
    parts = [torch.fft.irfft2(spectrum * (group == number), s=matrix.shape) for number in range(groups)]
    torch.testing.assert_close(sum(parts), matrix)
    distance = torch.fft.fftfreq(rows)[:, None] ** 2 + torch.fft.fftfreq(columns) ** 2
    there = torch.stack([torch.fft.fft2(part).abs() > 1e-9 for part in parts])
    assert there.sum(0).unique().tolist() == [1]
    ends = [(distance[mask].min().item(), distance[mask].max().item()) for mask in there if mask.any()]
    assert all(one[1] <= other[0] + 1e-7 for one, other in pairwise(ends))
    sizes = there.flatten(1).sum(1)
    assert (sizes - rows * columns / groups).abs().max() < 4


@pytest.mark.parametrize(
    ("side", "mode"), [(21, FakeTensorMode()), (22, torch.device("meta")), (23, torch.inference_mode())]
)
def test_a_pass_of_another_mode_leaves_nothing_for_the_next(side: int, mode: Any) -> None:
    """On maps of sizes that no other test has: what is kept is kept for the process."""
    with mode:
        BandModulation(2)(torch.ones(1, 2, side, side))
    y = BandModulation(2).double()(torch.ones(1, 2, side, side, dtype=torch.float64, requires_grad=True))
    assert type(y) is torch.Tensor
    y.sum().backward()


def test_low_pass_is_that_of_the_fourier_transform() -> None:
    x = torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for size, cutoff in ((12, 4), (12, 5), (11, 4), (1, 8)):
        kept = torch.fft.rfftfreq(size, dtype=torch.float64) < 1 / cutoff - 1e-12
        expected = torch.fft.irfft(torch.fft.rfft(x[:size]) * kept, n=size)
        torch.testing.assert_close(low_pass(size, cutoff) @ x[:size], expected)


def test_bands_by_fourier_transforms() -> None:
    """Σ_b A_b ⊙ x_b with masks of max(|u|, |v|) in the spectrum of rectangular maps; A = 1 at the start."""
    x = torch.randn(2, 3, 16, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layer = BandModulation(3).double()
    torch.testing.assert_close(layer(x), x)
    shaken(layer)
    reach = torch.maximum(
        torch.fft.fftfreq(16, dtype=torch.float64).abs()[:, None], torch.fft.fftfreq(10, dtype=torch.float64).abs()
    )
    factors = 2 * torch.sigmoid(layer.maps(x))
    limits = [1.0, 1 / 4, 1 / 8, 1 / 16]
    total = torch.fft.ifft2(torch.fft.fft2(x) * (reach < limits[-1])).real
    for place, (high, low) in enumerate(pairwise(limits)):
        band = torch.fft.ifft2(torch.fft.fft2(x) * ((reach < high) & (reach >= low))).real
        total = total + factors[:, place : place + 1] * band
    torch.testing.assert_close(layer(x), total)
