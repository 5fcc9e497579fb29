"""The bank of a dynamic layer, from the weight of the static one that stood there."""

from __future__ import annotations

import torch
from torch import Tensor

from .config import DynamicConfig

# Shapes: K kernels, S the weight of one, O outputs.


def copied_bank(weight: Tensor, config: DynamicConfig, generator: torch.Generator) -> Tensor:
    """(K, *S) copies of a weight (*S); with `config.noise`, that times its standard deviation of normal noise on each.

    All kernels being equal, the weight of a sample is at first the same whatever the fractions are, as long as these
    sum to 1; the fractions make the kernels differ as soon as they are trained.
    """
    bank = weight.detach().expand(config.num_kernels, *weight.shape).clone()
    if config.noise == 0:
        return bank
    noise = torch.randn(bank.shape, generator=generator).to(bank)
    return bank + noise * (config.noise * weight.detach().std(correction=0))


def copied_bias(bias: Tensor | None, config: DynamicConfig) -> Tensor | None:
    """(K, O) copies of a bias."""
    if bias is None:
        return None
    return bias.detach().expand(config.num_kernels, *bias.shape).clone()
