"""A dynamic convolution in its deployed form: static rows or channels once, dynamic ones for each sample."""

from __future__ import annotations

import torch
from torch import Tensor

from ..compact_weights import DIMS, CompactWeights
from .factors import Factors
from .forms import Dynamic, by_fastest_form, sharing_pays, with_weights
from .geometry import Geometry

# Shapes: B samples, K kernels, I inputs, O outputs, h x w a kernel, T = h w taps. x is padded already.

LARGE_WEIGHT = 500_000
"""From so many entries of a weight on, static and dynamic rows or channels of one image are two convolutions: to put
its weight together costs more than to put their results together (512 to 256 channels, 3 x 3)."""


def compact_convolution(
    weights: CompactWeights, geometry: Geometry, x_BIHW: Tensor, fractions_BK: Tensor, factors: Factors
) -> Tensor:
    """(B, O, H', W') without a bias.

    Where whole rows or channels have one mode and the map is small, the static ones are one convolution for all
    samples; else the weights of the samples are put together first. One image without a gradient has one weight.
    """
    taps_BT = factors.taps
    lends = weights.can_lend(x_BIHW)
    if weights.kernels == 1 and factors.kernels is None and taps_BT is None:
        if lends:
            return _with_one_weight(weights, geometry, x_BIHW, fractions_BK[:1], None)
        return geometry.conv2d(x_BIHW, weights.used_bank()[0])
    together = weights.unit == "weight" or not sharing_pays(geometry, x_BIHW)
    if lends and x_BIHW.shape[0] == 1 and (together or weights.shape.numel() < LARGE_WEIGHT):
        if weights.unit == "weight":
            return _with_one_weight(weights, geometry, x_BIHW, fractions_BK, taps_BT)
        return _side_by_side(weights, geometry, x_BIHW, fractions_BK, taps_BT)
    if together:
        along_taps = None
        if taps_BT is not None:
            along_taps = taps_BT.unflatten(1, weights.shape[-2:])[:, None, None]
        return with_weights(x_BIHW, weights.sample_weights(fractions_BK, along_taps), geometry)
    if weights.unit == "row":
        return _by_rows(weights, geometry, x_BIHW, fractions_BK, taps_BT)
    return _by_channels(weights, geometry, x_BIHW, fractions_BK, taps_BT)


def _with_one_weight(
    weights: CompactWeights, geometry: Geometry, x_BIHW: Tensor, fractions_1K: Tensor, taps_1T: Tensor | None
) -> Tensor:
    """One ordinary convolution, with a weight of which the dynamic part alone is written."""
    part = weights.one_part(fractions_1K)
    lent = weights.lent(part.dtype)
    weight = lent.take(part, taps_1T)
    y_BOHW = geometry.conv2d(x_BIHW, weight)
    lent.give_back(weight)
    return y_BOHW


def _side_by_side(
    weights: CompactWeights, geometry: Geometry, x_1IHW: Tensor, fractions_1K: Tensor, taps_1T: Tensor | None
) -> Tensor:
    """One image: dynamic rows or channels, static ones behind them, and one convolution with both.

    The order is that of the layer again where fewer numbers move: in the weight, or in the map that it is to fit.
    """
    part = weights.one_part(fractions_1K)
    if taps_1T is not None:
        part = part * taps_1T.view(geometry.kernel)
    dim = DIMS[weights.unit]
    weight = torch.cat((part, weights.static_like(part)), dim=dim)
    if weights.unit == "row":
        height, width = geometry.size_after(x_1IHW)
        if geometry.groups == 1 and len(weight) * height * width < weight.numel():
            return geometry.conv2d(x_1IHW, weight).index_select(1, weights.order())
    elif geometry.groups == 1 and x_1IHW.numel() < weight.numel():
        return geometry.conv2d(x_1IHW.index_select(1, weights.sorted_indices()), weight)
    return geometry.conv2d(x_1IHW, weight.index_select(dim, weights.order()))


def _by_rows(
    weights: CompactWeights, geometry: Geometry, x_BIHW: Tensor, fractions_BK: Tensor, taps_BT: Tensor | None
) -> Tensor:
    dynamic_D, static_C = weights.indices()
    parts: list[Tensor] = []
    if len(dynamic_D):
        parts.append(by_fastest_form(Dynamic(x_BIHW, weights.dynamic, fractions_BK, taps_BT, geometry)))
    if len(static_C) and weights.static is not None:
        parts.append(geometry.conv2d(x_BIHW, weights.static))
    elif len(static_C):  # pruned
        size = geometry.size_after(x_BIHW)
        parts.append(x_BIHW.new_zeros(x_BIHW.shape[0], len(static_C), *size))
    if len(parts) == 1:
        return parts[0]
    return torch.cat(parts, dim=1).index_select(1, weights.order())


def _by_channels(
    weights: CompactWeights, geometry: Geometry, x_BIHW: Tensor, fractions_BK: Tensor, taps_BT: Tensor | None
) -> Tensor:
    dynamic_D, static_C = weights.indices()
    seen = x_BIHW.index_select(1, dynamic_D)
    dynamic = by_fastest_form(Dynamic(seen, weights.dynamic, fractions_BK, taps_BT, geometry))
    if weights.static is None:
        return dynamic
    return dynamic + geometry.conv2d(x_BIHW.index_select(1, static_C), weights.static)
