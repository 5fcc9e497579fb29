"""How a dynamic convolution weighs its kernels: pooled input, a small network, softmax or sigmoid."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Shapes: B samples, I input channels, H height, W width, K kernels, R hidden units of the attention.


def pooled(x_BIHW: Tensor) -> Tensor:
    """(B, I) the mean of each channel over the image."""
    return x_BIHW.mean((-2, -1))


class Tempered(nn.Module):
    """A module that divides its logits by a temperature: a buffer, so that a checkpoint brings it back."""

    temperature: Tensor

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.register_buffer("temperature", torch.tensor(float(temperature)))


class KernelAttention(Tempered):
    """Shares of K kernels (DY-Conv, arXiv 1912.03458, section 3.2): softmax(U relu(V pool(x)) / τ), U with a bias.

    V is (max(1, I // reduction), I). The weights start normal with standard deviation sqrt(2 / outputs), as in the
    released code of PAD-Net; the bias starts at 0. Rows of V come in pairs (`squeezing`).
    """

    def __init__(
        self, channels: int, kernels: int, generator: torch.Generator, *, reduction: int = 16, temperature: float = 30.0
    ) -> None:
        super().__init__(temperature)
        hidden = max(1, channels // reduction)
        self.squeeze = squeezing(channels, hidden, math.sqrt(2 / hidden), generator)
        self.excite = _linear(hidden, kernels, math.sqrt(2 / kernels), generator, bias=True)

    def forward(self, x_BIHW: Tensor) -> Tensor:
        """(B, K), each row of which sums to 1."""
        logits_BK = self.excite(F.relu(self.squeeze(pooled(x_BIHW))))
        return torch.softmax(logits_BK / self.temperature, dim=-1)


class SigmoidRouting(nn.Module):
    """Shares of K kernels (CondConv, arXiv 1904.04971, equation 2): sigmoid(pool(x) R), R with a bias.

    The weights start at 0 and the bias so that every share is 1 / K: copies of one kernel then give that kernel.
    """

    def __init__(self, channels: int, kernels: int) -> None:
        super().__init__()
        self.route = nn.Linear(channels, kernels)
        nn.init.zeros_(self.route.weight)
        nn.init.constant_(self.route.bias, _logit_of_fraction(kernels))

    def forward(self, x_BIHW: Tensor) -> Tensor:
        """(B, K), each in (0, 1)."""
        return torch.sigmoid(self.route(pooled(x_BIHW)))


def _logit_of_fraction(kernels: int) -> float:
    """The logit of 1 / K; for a single kernel, whose share would have to be 1, one that float32 rounds to 1."""
    if kernels == 1:
        return 20.0
    return -math.log(kernels - 1)


def squeezing(channels: int, hidden: int, std: float, generator: torch.Generator) -> nn.Linear:
    """The layer before the relu of an attention: normal rows in pairs v, -v, one of which is above 0 for any input.

    Were all hidden units 0 for all inputs, as random rows of few units often are, an attention would say the same of
    every input for ever, and copies of a kernel would stay copies. A single hidden unit has no such pair.
    """
    layer = _linear(channels, hidden, std, generator, bias=False)
    half = hidden // 2
    with torch.no_grad():
        layer.weight[half : 2 * half] = -layer.weight[:half]
    return layer


def _linear(inputs: int, outputs: int, std: float, generator: torch.Generator, *, bias: bool) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.normal_(layer.weight, std=std, generator=generator)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer
