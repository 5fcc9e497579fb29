"""The exact ways to compute a dynamic convolution, and which of them is fastest for a shape.

All give the same numbers up to rounding. A partition by whole rows (outputs) or channels (inputs) leaves a smaller
dynamic convolution; its static part is one ordinary convolution that all samples share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...native.forms import Class, fastest, octave
from ..layer import DynamicLayer
from .factors import Factors
from .geometry import Geometry

# Shapes: B samples, K kernels, O outputs, I inputs, J = I / groups, h x w a kernel, T = h w taps, N = O J T entries of
# a kernel, H' x W' positions of the result, P = H' W'. x is padded already (`Geometry.pad`).

FEW_POSITIONS = 100
"""Up to so many positions a product with columns pays: 10 x 10."""
SOME_POSITIONS = 256
"""Up to so many positions weights made sample by sample pay: 16 x 16."""


def by_structure(layer: Any, x_BIHW: Tensor, fractions_BK: Tensor, factors: Factors) -> Tensor:
    """(B, O, H', W') the convolution of a `DynamicConv2d` that is not compact with the weights of each sample, no bias.

    Static rows or channels go by one convolution, where the mask has such.
    """
    geometry = layer.geometry
    partition = layer.partition
    one_weight = factors.kernels is None and factors.taps is None
    if partition is None:
        if one_weight:
            return geometry.conv2d(x_BIHW, layer.bank[0])
        return by_fastest_form(Dynamic(x_BIHW, layer.bank, fractions_BK, factors.taps, geometry))
    if one_weight:
        return geometry.conv2d(x_BIHW, partition.used_weight(layer.bank[0]))
    # A relaxed mask wants the gradient of every entry, so each has to enter the product.
    if not partition.is_relaxed:
        structure = partition.layout().structure
        if structure == "static":
            return geometry.conv2d(x_BIHW, partition.static_part())
        if structure == "dynamic":
            scaled_BK = fractions_BK * partition.lambda_dynamic
            return by_fastest_form(Dynamic(x_BIHW, layer.bank, scaled_BK, factors.taps, geometry))
        if structure == "row" and sharing_pays(geometry, x_BIHW):
            return _by_rows(layer, x_BIHW, fractions_BK, factors)
        if structure == "channel" and sharing_pays(geometry, x_BIHW):
            return _by_channels(layer, x_BIHW, fractions_BK, factors)
    # With more samples than kernels, to mask the kernels is less work than to mask the weight of every sample.
    if factors.taps is None and (torch.compiler.is_exporting() or fractions_BK.shape[0] > layer.num_kernels):
        return _static_as_a_kernel(layer, x_BIHW, fractions_BK)
    weight_BOJhw = weights_of_samples(layer, fractions_BK, factors.taps)
    return with_weights(x_BIHW, weight_BOJhw, geometry)


def sharing_pays(geometry: Geometry, x_BIHW: Tensor) -> bool:
    """Whether static rows or channels are faster as one convolution that all samples share.

    On large maps they are not: putting two results together moves more numbers than the weights of all samples have.
    """
    height, width = geometry.size_after(x_BIHW)
    return geometry.groups == 1 and height * width <= SOME_POSITIONS


def weights_of_samples(layer: DynamicLayer, fractions_BK: Tensor, taps_BT: Tensor | None) -> Tensor:
    """(B, O, J, h, w) λ_d M ⊙ (taps ⊙ (π @ bank)) + λ_s (1 - M) ⊙ static."""
    if taps_BT is None:
        return layer.sample_weights(fractions_BK)
    mixed_BN = fractions_BK @ layer.bank.flatten(1)
    mixed_BOJhw = mixed_BN.unflatten(1, layer.weight_shape)
    return layer.used_weight(mixed_BOJhw * _along_taps(taps_BT, layer.weight_shape))


def _static_as_a_kernel(layer: Any, x_BIHW: Tensor, fractions_BK: Tensor) -> Tensor:
    """The static part as one more kernel, of which every sample has a fraction of 1.

    Mask and scales then act on K + 1 kernels instead of on the weight of every sample.
    """
    bank = layer.dynamic_part()
    static = layer.static_part()
    if static is not None:
        bank = torch.cat([bank, static[None]])
        fractions_BK = torch.cat([fractions_BK, torch.ones_like(fractions_BK[:, :1])], dim=1)
    return by_fastest_form(Dynamic(x_BIHW, bank, fractions_BK, None, layer.geometry))


def _by_rows(layer: Any, x_BIHW: Tensor, fractions_BK: Tensor, factors: Factors) -> Tensor:
    """κ O rows with weights of each sample; the others are one convolution for all samples."""
    partition = layer.partition
    layout = partition.layout()
    bank = layer.bank[:, layout.dynamic]
    scaled_BK = fractions_BK * partition.lambda_dynamic
    dynamic = by_fastest_form(Dynamic(x_BIHW, bank, scaled_BK, factors.taps, layer.geometry))
    if partition.scale == "pruned":
        static = dynamic.new_zeros(dynamic.shape[0], layout.static.numel(), *dynamic.shape[2:])
    else:
        weight = partition.static[layout.static] * partition.lambda_static
        static = layer.geometry.conv2d(x_BIHW, weight)
    # The inverse of the order in which the rows were computed.
    order = torch.argsort(torch.cat([layout.dynamic, layout.static]))
    return torch.cat([dynamic, static], dim=1)[:, order]


def _by_channels(layer: Any, x_BIHW: Tensor, fractions_BK: Tensor, factors: Factors) -> Tensor:
    """κ I channels are read with weights of each sample, the others with one weight for all."""
    partition = layer.partition
    layout = partition.layout()
    bank = layer.bank[:, :, layout.dynamic]
    scaled_BK = fractions_BK * partition.lambda_dynamic
    seen = x_BIHW[:, layout.dynamic]
    dynamic = by_fastest_form(Dynamic(seen, bank, scaled_BK, factors.taps, layer.geometry))
    if partition.scale == "pruned":
        return dynamic
    weight = partition.static[:, layout.static] * partition.lambda_static
    return dynamic + layer.geometry.conv2d(x_BIHW[:, layout.static], weight)


@dataclass(frozen=True)
class Dynamic:
    """A fully dynamic convolution: a padded input `x` (B, I, H, W), the `bank` (K, O, J, h, w), the
    `fractions` (B, K) of its kernels, and factors of their `taps` (B, T) if there are."""

    x: Tensor
    bank: Tensor
    fractions: Tensor
    taps: Tensor | None
    geometry: Geometry

    @property
    def positions(self) -> int:
        """P."""
        height, width = self.geometry.size_after(self.x)
        return height * width

    @property
    def needs_gradient(self) -> bool:
        """Whether a backward pass will come through."""
        inputs = (self.x, self.bank, self.fractions)
        return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)


def by_fastest_form(problem: Dynamic) -> Tensor:
    """(B, O, H', W') by the fastest form for this shape."""
    return FORMS[choose_form(problem)](problem)


def choose_form(problem: Dynamic) -> str:
    """The name in `FORMS` of what is fastest for such shapes, where more than one can be: measured here, or by rule.

    One multiplication per position for pointwise kernels. In an exported graph the number of samples is open, and so it
    cannot be one of groups.
    """
    geometry = problem.geometry
    if geometry.is_pointwise or torch.compiler.is_exporting() or problem.x.shape[0] == 0:
        return "columns"  # none has no group either
    if geometry.groups > 1 or problem.x.shape[0] == 1:
        return "groups"
    rule = _form_by_rule(problem)
    if torch.compiler.is_compiling() or not problem.x.is_cpu:  # a graph cannot hold what a clock decides
        return rule
    names = ("groups", "columns") if problem.needs_gradient else ("groups", "columns", "samples")
    return fastest(_class_of(problem), {name: partial(_run, problem, name) for name in names}, rule)


def _form_by_rule(problem: Dynamic) -> str:
    """What was fastest on one processor (tests/speed/test_dynamic_conv_speed.py).

    On small maps the weights of all samples are many times the features: they are made and used sample by sample, so
    that they stay in the cache. With a backward pass, which needs all of them, and in bfloat16 a product with the
    columns is faster on the smallest maps. Else one grouped convolution.
    """
    if problem.needs_gradient or problem.bank.dtype == torch.bfloat16:
        return "columns" if problem.positions <= FEW_POSITIONS else "groups"
    return "samples" if problem.positions <= SOME_POSITIONS else "groups"


def _class_of(problem: Dynamic) -> Class:
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else problem.x.dtype
    way = "forward and backward" if problem.needs_gradient else "forward"
    where = (*problem.geometry.kernel, *problem.geometry.stride, *problem.geometry.dilation)
    size = (*problem.bank.shape[:3], *problem.x.shape[2:], octave(problem.x.shape[0]))
    return ("dynamic convolution", way, str(dtype), *where, *size)


def _run(problem: Dynamic, form: str) -> None:
    """Once forward, and backward where a gradient will be wanted, on tensors apart from those of the model."""
    x, bank, fractions = map(_apart, (problem.x, problem.bank, problem.fractions))
    taps = None if problem.taps is None else _apart(problem.taps)
    result = FORMS[form](replace(problem, x=x, bank=bank, fractions=fractions, taps=taps))
    if problem.needs_gradient:
        result.backward(torch.ones_like(result))


def _apart(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_(tensor.requires_grad)


def by_groups(problem: Dynamic) -> Tensor:
    """The weights of all samples, then one convolution with a group (or a set of groups) for each sample."""
    return with_weights(problem.x, _mixed(problem), problem.geometry)


def with_weights(x_BIHW: Tensor, weight_BOJhw: Tensor, geometry: Geometry) -> Tensor:
    """A convolution with a weight for each sample: one product a position for pointwise ones, in an exported graph and
    where there is no sample, else one with a group for each sample."""
    if geometry.is_pointwise or torch.compiler.is_exporting() or weight_BOJhw.shape[0] == 0:
        return _with_columns(x_BIHW, weight_BOJhw, geometry)
    batch, outputs = weight_BOJhw.shape[:2]
    # All samples become one image with B times the channels: a group for each sample reads its own channels alone.
    x_side_by_side = x_BIHW.reshape(1, -1, *x_BIHW.shape[2:])
    y_side_by_side = geometry.conv2d(x_side_by_side, weight_BOJhw.flatten(0, 1), copies=batch)
    return y_side_by_side.view(batch, outputs, *y_side_by_side.shape[2:])


def by_columns(problem: Dynamic) -> Tensor:
    """The weights of all samples times what each position sees, as a batch of matrix products."""
    return _with_columns(problem.x, _mixed(problem), problem.geometry)


def _with_columns(x_BIHW: Tensor, weight_BOJhw: Tensor, geometry: Geometry) -> Tensor:
    weight_BOR = weight_BOJhw.flatten(2)
    columns_BRP = _columns(x_BIHW, geometry)
    if geometry.groups == 1:
        y_BOP = torch.bmm(weight_BOR, columns_BRP)
    else:
        of_groups = weight_BOR.unflatten(1, (geometry.groups, -1)) @ columns_BRP.unflatten(1, (geometry.groups, -1))
        y_BOP = of_groups.flatten(1, 2)
    return y_BOP.unflatten(2, geometry.size_after(x_BIHW))


def by_samples(problem: Dynamic) -> Tensor:
    """One sample after the other: its weight, then a convolution with it."""
    bank_KN = problem.bank.flatten(1)
    results: list[Tensor] = []
    for place in range(problem.x.shape[0]):
        weight = (problem.fractions[place] @ bank_KN).view(problem.bank.shape[1:])
        if problem.taps is not None:
            weight = weight * problem.taps[place].view(problem.geometry.kernel)
        results.append(problem.geometry.conv2d(problem.x[place : place + 1], weight))
    return torch.cat(results)


FORMS = {"groups": by_groups, "columns": by_columns, "samples": by_samples}


def _mixed(problem: Dynamic) -> Tensor:
    """(B, O, J, h, w) taps ⊙ (π @ bank)."""
    shape = problem.bank.shape[1:]
    mixed_BOJhw = (problem.fractions @ problem.bank.flatten(1)).unflatten(1, shape)
    if problem.taps is None:
        return mixed_BOJhw
    return mixed_BOJhw * _along_taps(problem.taps, shape)


def _along_taps(taps_BT: Tensor, shape: torch.Size) -> Tensor:
    """(B, 1, 1, h, w)."""
    return taps_BT.unflatten(1, shape[-2:])[:, None, None]


def _columns(x_BIHW: Tensor, geometry: Geometry) -> Tensor:
    """(B, I T, P) what each position sees."""
    if geometry.is_pointwise:
        return x_BIHW[:, :, :: geometry.stride[0], :: geometry.stride[1]].flatten(2)
    return F.unfold(x_BIHW, geometry.kernel, geometry.dilation, geometry.padding, geometry.stride)
