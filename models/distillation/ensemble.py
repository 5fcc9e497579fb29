"""Two models whose logits are averaged: what a student could reach if the teacher stayed with it."""

import torch
from torch import Tensor, nn

from ..errors import ModelError

EXACT = 1e-4
"""Largest difference, in units of the second encoding, up to which one encoding is a map of the other."""


class Ensemble(nn.Module):
    """The mean of the logits (B, C) of two models of the same inputs.

    Args:
        first: a model of inputs (B, channels, height, width).
        second: a model with as many classes.
        scale: (channels,), with `shift`: turns inputs as the first model reads them into those of the second, where the
            two normalise images differently (`channel_map`).
        shift: (channels,).
    """

    scale: Tensor | None
    shift: Tensor | None

    def __init__(
        self, first: nn.Module, second: nn.Module, scale: Tensor | None = None, shift: Tensor | None = None
    ) -> None:
        super().__init__()
        if (scale is None) != (shift is None):
            raise ModelError("give scale and shift both, or neither")
        self.first = first
        self.second = second
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, inputs: Tensor) -> Tensor:
        """Mean logits (B, C)."""
        own = self.first(inputs)
        if self.scale is not None and self.shift is not None:
            inputs = inputs * self.scale[:, None, None] + self.shift[:, None, None]
        return (own + self.second(inputs)) / 2


def channel_map(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor] | None:
    """The map of each channel from one encoding of images to another, where there is one.

    It is the least-squares fit of each channel, and counts if no value is off by more than `EXACT`: then it is another
    normalisation, not another image.

    Args:
        first: images (B, channels, height, width).
        second: the same images in another encoding, of the same shape.

    Returns:
        Scale and shift (channels,) with second = scale first + shift; None where such a map does not exist.
    """
    if first.shape != second.shape or first.ndim != 4:
        return None
    x_CN = first.double().transpose(0, 1).flatten(1)
    y_CN = second.double().transpose(0, 1).flatten(1)
    x_mean = x_CN.mean(1, keepdim=True)
    y_mean = y_CN.mean(1, keepdim=True)
    spread = (x_CN - x_mean).square().sum(1)
    together = ((x_CN - x_mean) * (y_CN - y_mean)).sum(1)
    # A channel that is the same everywhere says nothing of its scale.
    scale = torch.where(spread > 0, together / spread.clamp(min=1e-300), 1.0)
    shift = y_mean[:, 0] - scale * x_mean[:, 0]
    off = (scale[:, None] * x_CN + shift[:, None] - y_CN).abs().max()
    if off > EXACT:
        return None
    return scale.to(first.dtype), shift.to(first.dtype)
