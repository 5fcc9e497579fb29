"""Linear and convolution layers whose weight can lose entries for good."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Init = Literal["zero_up", "normal"]


class Masked(nn.Module):
    """A layer with a `weight` and an optional boolean `mask` of its shape, which keeps the entries where it is True.

    Removed entries are stored as 0 and are 0 in the forward pass, so they get no gradient, and neither momentum nor
    weight decay can move them. The mask is a buffer: it travels with `state_dict`, copies and pickles.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    mask: Tensor | None

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.register_buffer("mask", None)

    def reset_parameters(self) -> None:
        """Nothing: `initialise` draws from an explicit generator instead."""

    def effective(self) -> Tensor:
        """The weight with removed entries at 0."""
        return self.weight if self.mask is None else torch.where(self.mask, self.weight, self.weight.new_zeros(()))

    def prune(self, mask: Tensor) -> None:
        """Keep only the entries where `mask` is True."""
        self.mask = mask.to(self.weight.device, torch.bool)
        with torch.no_grad():
            self.weight.masked_fill_(~self.mask, 0)

    def masked_out(self) -> int:
        """Number of removed entries."""
        return 0 if self.mask is None else int(self.mask.numel() - self.mask.sum())

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        saved = state_dict.get(f"{prefix}mask")
        self.mask = None if saved is None else torch.ones_like(self.weight, dtype=torch.bool)
        super()._load_from_state_dict(state_dict, prefix, *args)


class MaskedLinear(Masked, nn.Linear):
    """`nn.Linear` with a mask."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        return F.linear(input, self.effective(), self.bias)


class MaskedConv2d(Masked, nn.Conv2d):
    """`nn.Conv2d` with a mask."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (batch, in, height, width) to (batch, out, height, width)."""
        return self._conv_forward(input, self.effective(), self.bias)


@torch.no_grad()
def initialise(down: Masked, up: Masked, init: Init, generator: torch.Generator) -> None:
    """Fill a pair of projections; biases are 0.

    "zero_up": down U(-1, 1) / sqrt(fan_in), up 0, so that the adapter starts as no change (LoRA, arXiv 2106.09685).
    "normal": both N(0, 0.02^2) (the default of SparseAdapter, arXiv 2210.04284); the model changes a little at once.
    """
    for layer in (down, up):
        values = torch.zeros(layer.weight.shape)
        if init == "normal":
            values.normal_(0, 0.02, generator=generator)
        elif layer is down:
            bound = 1 / math.sqrt(values[0].numel())
            values.uniform_(-bound, bound, generator=generator)
        layer.weight.copy_(values)
        if layer.bias is not None:
            layer.bias.zero_()
