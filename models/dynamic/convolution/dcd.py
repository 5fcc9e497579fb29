"""Dynamic convolution decomposition: a static kernel, rescaled, and a small dynamic matrix between two static ones.

Li et al., "Revisiting Dynamic Convolution via Matrix Decomposition", arXiv 2103.08756.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..copies import copied_bank, copied_bias
from .attention import pooled, squeezing
from .base import DynamicConv2d
from .config import ConvConfig
from .factors import Factors
from .forms import with_weights
from .geometry import Geometry

# Shapes: B samples, I inputs, J = I / groups, O outputs, L latent channels, L² <= I, R hidden units, h x w a kernel.


class DCDConv2d(DynamicConv2d):
    """W(x) = Λ(x) W_0 + P Φ(x) Q^T (equation 4): Λ (O, O) diagonal, Φ (L, L), P (O, L) and Q (J, L) static.

    The low-rank term fuses channels at the middle tap of a kernel alone (section 3.3). Λ = hard sigmoid times 2, in
    [0, 2], and Φ come from one hidden vector of the pooled input, z = relu(V pool(x)). Their last layers start at 0, so
    that Λ = 1 and Φ = 0 at first. With groups, Q is shared by the groups.

    The authors' release is another layer (pooled to 2 x 2, twice the latent channels, norms of its own) and no
    reference for this one.

    The bank has one kernel, W_0. A partition is one of W(x) as a whole; the released PAD-DCD masks rows of the layers
    that give Λ and Φ instead.
    """

    mixes_kernels = False

    def __init__(
        self,
        bank: Tensor,
        bias: Tensor | None,
        geometry: Geometry,
        generator: torch.Generator,
        *,
        reduction: int = 16,
        faithful: bool = False,
    ) -> None:
        super().__init__(bank, bias, geometry, faithful=faithful)
        _, outputs, per_group, height, width = bank.shape
        latent = math.isqrt(self.in_channels)
        self.latent = latent
        self.middle = ((height - 1) // 2, (width - 1) // 2)
        self.p_OL = nn.Parameter(_normal((outputs, latent), latent, generator))
        self.q_JL = nn.Parameter(_normal((per_group, latent), per_group, generator))
        hidden = max(1, self.in_channels // reduction)
        self.squeeze = squeezing(self.in_channels, hidden, math.sqrt(2 / self.in_channels), generator)
        self.to_scale = nn.Linear(hidden, outputs)
        self.to_phi = nn.Linear(hidden, latent * latent)
        for last in (self.to_scale, self.to_phi):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    @classmethod
    def of(cls, conv: Any, config: ConvConfig, generator: torch.Generator, path: str = "the module") -> DCDConv2d:
        """One that computes what `conv` does."""
        geometry = Geometry.of(conv, path)
        bank = copied_bank(conv.weight, config, generator)[:1]
        bias = copied_bias(conv.bias, config)
        if bias is not None:
            bias = bias[:1]
        return cls(bank, bias, geometry, generator, reduction=config.reduction, faithful=config.faithful)

    def coefficients(self, x_BIHW: Tensor) -> tuple[Tensor, Tensor]:
        """Λ (B, O) and Φ (B, L, L)."""
        hidden_BR = F.relu(self.squeeze(pooled(x_BIHW)))
        scale_BO = 2 * F.hardsigmoid(self.to_scale(hidden_BR))
        phi_BLL = self.to_phi(hidden_BR).unflatten(-1, (self.latent, self.latent))
        return scale_BO, phi_BLL

    def factors(self, x_BIHW: Tensor) -> Factors:
        """One kernel, with a share of 1; what depends on the input is in `coefficients`."""
        return Factors()

    def weights(self, x_BIHW: Tensor) -> Tensor:
        """(B, O, J, h, w) the weights of every sample, partition included."""
        scale_BO, phi_BLL = self.coefficients(x_BIHW)
        weight_BOJhw = self.bank * scale_BO[:, :, None, None, None]
        low_rank_BOJ = self.p_OL @ phi_BLL @ self.q_JL.t()
        top, left = self.middle
        height, width = self.kernel_size
        around = (left, width - 1 - left, top, height - 1 - top)
        return self.used_weight(weight_BOJhw + F.pad(low_rank_BOJ[..., None, None], around))

    def dynamic_alone(self) -> list[nn.Parameter]:
        """All but the bias, which no share is mixed with."""
        layers = (self.squeeze, self.to_scale, self.to_phi)
        return [self.bank, self.p_OL, self.q_JL, *(parameter for layer in layers for parameter in layer.parameters())]

    def forward(self, x_BIHW: Tensor) -> Tensor:
        """(B, O, H', W')."""
        geometry = self.geometry
        x_BIHW = self.checked(x_BIHW)
        padded = geometry.pad(x_BIHW)
        if self.partition is None and geometry.groups == 1 and not self.faithful:
            y_BOHW = self._in_parts(x_BIHW, padded)
        else:
            y_BOHW = with_weights(padded, self.weights(x_BIHW), geometry)
        if self.bias is None:
            return y_BOHW
        return y_BOHW + self.bias[0][:, None, None]

    def _in_parts(self, x_BIHW: Tensor, padded: Tensor) -> Tensor:
        """Λ after one convolution with W_0, and the low-rank term as three products: no weight of a sample is made."""
        scale_BO, phi_BLL = self.coefficients(x_BIHW)
        y_BOHW = self.geometry.conv2d(padded, self.bank[0]) * scale_BO[:, :, None, None]
        seen_BIP = self._under_the_middle(padded, y_BOHW.shape[-2:]).flatten(2)
        fused_BOP = self.p_OL @ (phi_BLL @ (self.q_JL.t() @ seen_BIP))
        return y_BOHW + fused_BOP.view_as(y_BOHW)

    def _under_the_middle(self, padded: Tensor, size: torch.Size) -> Tensor:
        """(B, I, H', W') what the middle tap sees at each position."""
        geometry = self.geometry
        vertical, horizontal = geometry.padding
        whole = F.pad(padded, (horizontal, horizontal, vertical, vertical))
        top = self.middle[0] * geometry.dilation[0]
        left = self.middle[1] * geometry.dilation[1]
        seen = whole[:, :, top :: geometry.stride[0], left :: geometry.stride[1]]
        return seen[:, :, : size[0], : size[1]]


def _normal(shape: tuple[int, int], fan_in: int, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator) / math.sqrt(fan_in)
