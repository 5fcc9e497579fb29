"""The dtype and the first values of adapter weights."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from ..sparsity.masked import Masked

Init = Literal["zero_up", "xavier_zero_up", "normal", "truncated"]
STARTS_AS_NO_CHANGE = ("zero_up", "xavier_zero_up")


def adapter_dtype(base_weight: Tensor) -> torch.dtype:
    """The dtype of adapter parameters that belong to a frozen weight: at least float32, as optimizers need it."""
    return torch.promote_types(base_weight.dtype, torch.float32)


def initialise(down: Masked, up: Masked, init: Init, generator: torch.Generator) -> None:
    """Fill a pair of projections; biases are 0.

    "zero_up": down U(-1, 1) / sqrt(fan_in), up 0, so that the adapter starts as no change (LoRA, arXiv 2106.09685).
    "xavier_zero_up": down U(-1, 1) sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010), up 0.
    "normal": both N(0, 0.02^2) (the default of SparseAdapter, arXiv 2210.04284); the model changes a little at once.
    "truncated": both N(0, 0.01^2) cut at two standard deviations (Houlsby et al., arXiv 1902.00751, 2.1).
    """
    fill(down, init, generator)
    fill(up, init, generator, last=True)


@torch.no_grad()
def fill(layer: Masked, init: Init, generator: torch.Generator, *, last: bool = False) -> None:
    """Fill one layer as `initialise` does: the up projection if `last`, else the down projection."""
    values = torch.zeros(layer.shape)
    if init == "normal":
        values.normal_(0, 0.02, generator=generator)
    elif init == "truncated":
        nn.init.trunc_normal_(values, std=0.01, a=-0.02, b=0.02, generator=generator)
    elif not last:
        bound = _bound(values, xavier=init == "xavier_zero_up")
        values.uniform_(-bound, bound, generator=generator)
    layer.stored.copy_(values)
    if layer.bias is not None:
        layer.bias.zero_()


def _bound(values: Tensor, *, xavier: bool) -> float:
    """The bound of a uniform distribution, by the numbers of inputs (and outputs) of a weight (out, in, ...)."""
    fan_in = values[0].numel()
    if not xavier:
        return 1 / math.sqrt(fan_in)
    fan_out = values[:, 0].numel()
    return math.sqrt(6 / (fan_in + fan_out))
