"""ODConv: attentions for kernels, taps, input channels and outputs.

Li et al., "Omni-Dimensional Dynamic Convolution", arXiv 2209.07947.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ModelError
from ..copies import copied_bank, copied_bias
from .attention import Tempered, pooled
from .attention_vector import AttentionVector
from .base import DynamicConv2d
from .config import ConvConfig
from .factors import Factors
from .geometry import Geometry

# Shapes: B samples, I inputs, O outputs, K kernels, T taps of a kernel, R hidden units.

FEWEST_HIDDEN = 16
"""Hidden units of the attentions, at least, in the released code."""


class OmniAttention(Tempered):
    """The four attentions of ODConv (section 3.2) on one pooled, squeezed and normalised input.

    Where a kernel is 1 x 1 there is none for taps, where a convolution has a group for each channel none for outputs,
    and with one kernel none for kernels. `inputs`, `outputs` and `taps` can have partitions, as in the released code of
    PAD-Net, where the attention for kernels has none.
    """

    def __init__(
        self,
        bank_shape: torch.Size,
        geometry: Geometry,
        generator: torch.Generator,
        *,
        reduction: int = 16,
        temperature: float = 30.0,
    ) -> None:
        super().__init__(temperature)
        kernels, out_channels, per_group, height, width = bank_shape
        in_channels = per_group * geometry.groups
        hidden = max(in_channels // reduction, FEWEST_HIDDEN)
        self.squeeze = nn.Linear(in_channels, hidden, bias=False)
        nn.init.kaiming_normal_(self.squeeze.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        self.norm = nn.BatchNorm1d(hidden)
        self.inputs = AttentionVector(hidden, in_channels)
        # In a depthwise convolution an output reads one input: a factor of its own would be the input's factor once
        # more.
        self.outputs = None
        if not (in_channels == geometry.groups == out_channels):
            self.outputs = AttentionVector(hidden, out_channels)
        # One tap has nothing to be weighed against, and a softmax over one kernel is always 1.
        self.taps = None
        if height * width > 1:
            self.taps = AttentionVector(hidden, height * width)
        self.kernels = None
        if kernels > 1:
            self.kernels = nn.Linear(hidden, kernels)
            nn.init.kaiming_normal_(self.kernels.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            nn.init.zeros_(self.kernels.bias)

    def vectors(self) -> dict[str, AttentionVector]:
        """Those of "inputs", "outputs" and "taps" that there are: what can have a partition."""
        found = {"inputs": self.inputs, "outputs": self.outputs, "taps": self.taps}
        return {name: vector for name, vector in found.items() if vector is not None}

    def at_start(self) -> float:
        """The product of the factors of an entry at the start: 1/2 for each attention, a power of two."""
        return 0.5 ** len(self.vectors())

    def forward(self, x_BIHW: Tensor) -> Factors:
        """All factors of these samples. Raises `ModelError` for one image alone in training: the norm is over the
        batch.
        """
        squeezed_BR = self.squeeze(pooled(x_BIHW))
        if self.training and squeezed_BR.shape[0] == 1:
            raise ModelError("ODConv normalises its attention over the batch: train it with at least 2 images at once")
        hidden_BR = torch.relu(self.norm(squeezed_BR))
        kernels_BK = None
        if self.kernels is not None:
            kernels_BK = torch.softmax(self.kernels(hidden_BR) / self.temperature, dim=-1)
        return Factors(
            kernels=kernels_BK,
            taps=self._of(self.taps, hidden_BR),
            inputs=self.inputs(hidden_BR, self.temperature),
            outputs=self._of(self.outputs, hidden_BR),
        )

    def _of(self, vector: AttentionVector | None, hidden_BR: Tensor) -> Tensor | None:
        if vector is None:
            return None
        return vector(hidden_BR, self.temperature)


class ODConv2d(DynamicConv2d):
    """y = f(x) ⊙ ((Σ_k π_k(x) s(x) ⊙ W_k) * (c(x) ⊙ x)) (equation 3), attentions s of taps, c of inputs, f of outputs.

    Input and output attentions act on the features, as in the released code: the same product, on fewer numbers. A bias
    is added before f. A partition of the layer is that of its kernels; `attention.inputs`, `.outputs` and `.taps` can
    have their own. ODConv 1x is `num_kernels=1`.
    """

    def __init__(self, bank: Tensor, bias: Tensor | None, geometry: Geometry, attention: OmniAttention) -> None:
        super().__init__(bank, bias, geometry)
        self.attention = attention

    @classmethod
    def of(cls, conv: Any, config: ConvConfig, generator: torch.Generator, path: str = "the module") -> ODConv2d:
        """One that computes what `conv` does: its weight is copied times what its attentions divide it by at first."""
        geometry = Geometry.of(conv, path)
        bank = copied_bank(conv.weight, config, generator)
        attention = OmniAttention(
            bank.shape, geometry, generator, reduction=config.reduction, temperature=config.temperature
        )
        bias = copied_bias(conv.bias, config)
        if bias is not None and attention.outputs is not None:
            bias = bias / 0.5
        return cls(bank / attention.at_start(), bias, geometry, attention)

    def static_start(self) -> Tensor:
        """(O, J, h, w) the mean of the kernels times the tap factors of a hidden vector of zeros."""
        mean = super().static_start()
        taps = self.attention.taps
        if taps is None:
            return mean
        return mean * taps.at_rest(self.attention.temperature).view(self.kernel_size)

    def factors(self, x_BIHW: Tensor) -> Factors:
        """All four attentions."""
        return self.attention(x_BIHW)

    def share_parameters(self) -> list[nn.Parameter]:
        """The parameters of the attention for kernels, if there is one; what it reads serves the others, too."""
        kernels = self.attention.kernels
        return [] if kernels is None else list(kernels.parameters())

    def dynamic_alone(self) -> list[nn.Parameter]:
        """The factors of taps as well: the static weight has none."""
        taps = self.attention.taps
        return [*super().dynamic_alone(), *([] if taps is None else taps.parameters())]
