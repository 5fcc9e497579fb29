"""Frequencies of kernels and of maps: groups that are disjoint, and bands that are weighed place by place."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor, nn

# Shapes: R rows and C columns of a matrix, S = C // 2 + 1, the columns of its half spectrum (`torch.fft.rfft2`);
# B samples, I channels, H x W positions of a map.

CUTOFFS = (4, 8, 16)
"""Bands of a map end at 1/4, 1/8 and 1/16 of the sampling rate; the highest ends at its half."""


def frequency_groups(rows: int, columns: int, groups: int) -> Tensor:
    """(R, S) int64: the group of each entry of the half spectrum of a real matrix, from 0, the lowest frequencies.

    Entries are ordered by their distance from frequency 0 and cut into groups of equally many numbers, but for the four
    numbers at most that belong together: (±u, ±v) are in one group, so that the part of a matrix with the frequencies
    of a group is real, and its spectrum is 0 outside of the group.

    Args:
        rows: R.
        columns: C.
        groups: how many; above R C / 4 some of them are empty.
    """
    folded_R = torch.minimum(torch.arange(rows), rows - torch.arange(rows))
    across = torch.arange(columns // 2 + 1)
    down = torch.arange(rows // 2 + 1)[:, None]
    # Integers, since ties of rounded distances would be broken elsewhere on another machine.
    distances = ((down * columns) ** 2 + (across * rows) ** 2).flatten()
    sizes = (_mirrored(down, rows) * _mirrored(across, columns)).flatten()
    order = torch.argsort(distances, stable=True)
    before = sizes[order].cumsum(0) - sizes[order]
    group = torch.empty_like(distances)
    group[order] = before * groups // (rows * columns)
    return group.view(rows // 2 + 1, -1)[folded_R]


def _mirrored(frequency: Tensor, size: int) -> Tensor:
    """1 for a frequency that is its own mirror image, else 2."""
    return torch.where((frequency == 0) | (2 * frequency == size), 1, 2)


def low_pass(size: int, cutoff: int) -> Tensor:
    """(N, N) float64, symmetric: the projection of N values onto frequencies below 1 / `cutoff` of the sampling rate.

    It is kept for later calls, but for what is made while a graph is traced, which has no numbers.

    Args:
        size: N.
        cutoff: 2 or more.
    """
    if torch.compiler.is_compiling() or type(torch.empty(0)) is not Tensor:
        return _projection(size, cutoff)
    return _kept_projection(size, cutoff)


@functools.lru_cache(maxsize=64)
def _kept_projection(size: int, cutoff: int) -> Tensor:
    # Whoever comes later may want a gradient, or real numbers.
    with torch.inference_mode(False), torch.device("cpu"):
        return _projection(size, cutoff)


def _projection(size: int, cutoff: int) -> Tensor:
    place = torch.arange(size)
    apart = (place[:, None] - place) % size
    total = torch.full((size, size), 1 / size, dtype=torch.float64)
    for frequency in range(1, size):
        if frequency * cutoff >= size:
            break
        total += 2 / size * torch.cos(2 * math.pi / size * (frequency * apart % size).double())
    return total


class BandModulation(nn.Module):
    """Σ_b A_b ⊙ x_b of maps x, with x_b their frequencies of one band (FDConv, arXiv 2503.18783: band modulation).

    A frequency (u, v) is in the band that max(|u|, |v|) lies in. A_b (B, 1, H, W) = 2 sigmoid of a 3 x 3 convolution of
    x for each band but the lowest, whose factor is 1. The convolutions start at 0, so that at first x comes out.

    Low frequencies are found by two matrix products, which on maps of such sizes are faster than Fourier transforms.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.maps = nn.Conv2d(channels, len(CUTOFFS), 3, padding=1)
        nn.init.zeros_(self.maps.weight)
        assert self.maps.bias is not None
        nn.init.zeros_(self.maps.bias)

    def forward(self, x_BIHW: Tensor) -> Tensor:
        """(B, I, H, W)."""
        factors_BHWb = 2 * torch.sigmoid(self.maps(x_BIHW)).permute(0, 2, 3, 1)
        below = x_BIHW.permute(0, 2, 3, 1).contiguous()
        # Σ_b A_b x_b, with x_b the difference of what is below two limits, by the limits instead of the bands.
        total = below * factors_BHWb[..., :1]
        for place, cutoff in enumerate(CUTOFFS):
            factor = factors_BHWb[..., place : place + 1]
            lower = factors_BHWb[..., place + 1 : place + 2] if place + 1 < len(CUTOFFS) else 1.0
            below = _below(below, cutoff)
            total = torch.addcmul(total, below, lower - factor)
        return total.permute(0, 3, 1, 2)


def _below(x_BHWI: Tensor, cutoff: int) -> Tensor:
    """(B, H, W, I) what of maps lies below a frequency in both directions."""
    height, width = x_BHWI.shape[1:3]
    across = low_pass(width, cutoff).to(x_BHWI) @ x_BHWI
    return (low_pass(height, cutoff).to(x_BHWI) @ across.flatten(2)).view_as(x_BHWI)
