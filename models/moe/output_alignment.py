"""Closed-form fits of an MoE layer to the dense one on the calibration tokens: scale, and affine alignment."""

from __future__ import annotations

import torch
from torch import Tensor

from ..calibration.ffn_samples import FFNSample
from .config import MoEConfig
from .dense_ffn import DenseFFN
from .layer import Alignment, MoEFFN

# Shapes: T tokens, D width.


@torch.no_grad()
def fit(layer: MoEFFN, dense: DenseFFN, sample: FFNSample | None, config: MoEConfig) -> None:
    """Set the scale and the alignment of `layer`, in eval mode, as `config` asks."""
    if sample is None or not (config.scale == "calibrated" or config.align):
        return
    layer.eval()
    target_TD = dense.output(sample.h)
    if config.scale == "calibrated":
        routed_TD = layer.routed(sample.x) / layer.scale
        fixed_TD = target_TD if layer.shared is None else target_TD - layer.shared.every(sample.x)
        fixed_TD = fixed_TD if layer.down_bias is None else fixed_TD - layer.down_bias
        layer.scale = least_squares(routed_TD, fixed_TD, otherwise=config.scale_value)
    if config.align:
        layer.alignment = Alignment(*match_moments(layer(sample.x), target_TD))


def least_squares(routed_TD: Tensor, target_TD: Tensor, *, otherwise: float) -> float:
    """The s that makes sum (target - s * routed)^2 least; `otherwise` when routed is all 0."""
    routed, target = routed_TD.double(), target_TD.double()
    square = routed.square().sum()
    return float((routed * target).sum() / square) if square > 0 else otherwise


def match_moments(output_TD: Tensor, target_TD: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and offset (D,) such that output * gain + offset has the target's mean and variance in every channel.

    A channel of the output that does not vary keeps gain 1.
    """
    output, target = output_TD.double(), target_TD.double()
    variance = output.var(0, correction=0)
    varies = variance > 0
    gain = torch.where(varies, (target.var(0, correction=0) / variance.where(varies, 1)).sqrt(), 1)
    offset = target.mean(0) - output.mean(0) * gain
    return gain.to(output_TD.dtype), offset.to(output_TD.dtype)
