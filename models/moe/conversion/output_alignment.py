"""Closed-form fits of an MoE layer to the dense one on the calibration tokens: scale, and affine alignment."""

from __future__ import annotations

import torch
from torch import Tensor

from ...calibration.hooks import FFNSample
from ..config import MoEConfig
from ..layer import Alignment, MoEFFN
from .dense_ffn import DenseFFN

# Shapes: T tokens, D width.


@torch.no_grad()
def fit(layer: MoEFFN, dense: DenseFFN, sample: FFNSample, config: MoEConfig) -> None:
    """Set the scale and the alignment of `layer`, in eval mode, as `config` asks."""
    layer.eval()
    dense_TD = dense.output(sample.h)
    if config.scale == "calibrated":
        # What the routed experts have to give: the dense output without the parts that no scale multiplies.
        target_TD = dense_TD
        if layer.shared is not None:
            target_TD = target_TD - layer.shared(sample.x)
        if layer.down_bias is not None:
            target_TD = target_TD - layer.down_bias
        routed_TD = layer.routed(sample.x) / layer.scale
        layer.scale = least_squares(routed_TD, target_TD, otherwise=config.scale_value)
    if config.align:
        gain_D, offset_D = match_moments(layer(sample.x), dense_TD)
        layer.alignment = Alignment(gain_D, offset_D)


def least_squares(routed_TD: Tensor, target_TD: Tensor, *, otherwise: float) -> float:
    """The s that makes sum (target - s * routed)^2 least; `otherwise` when routed is all 0."""
    routed_TD = routed_TD.double()
    square = routed_TD.square().sum()
    if square == 0:
        return otherwise
    return float((routed_TD * target_TD.double()).sum() / square)


def match_moments(output_TD: Tensor, target_TD: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and offset (D,) such that output * gain + offset has the target's mean and variance in every channel.

    A channel of the output that does not vary keeps gain 1.
    """
    dtype = output_TD.dtype
    output_TD = output_TD.double()
    target_TD = target_TD.double()
    variance_D = output_TD.var(0, correction=0)
    varies_D = variance_D > 0
    ratio_D = target_TD.var(0, correction=0) / variance_D.where(varies_D, 1)
    gain_D = ratio_D.sqrt().where(varies_D, 1)
    offset_D = target_TD.mean(0) - output_TD.mean(0) * gain_D
    return gain_D.to(dtype), offset_D.to(dtype)
