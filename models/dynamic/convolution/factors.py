"""What the attentions of a dynamic convolution say about a batch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

# Shapes: B samples, K kernels, T taps of a kernel (height x width), I inputs, O outputs.


@dataclass(frozen=True, kw_only=True)
class Factors:
    """What the kernels and the features of each sample are multiplied with; None is 1 everywhere.

    `kernels` (B, K): the fractions π of the kernels; None only where there is one. `taps` (B, T): of the taps of the
    mixed kernel. `inputs` (B, I): of the channels that come in. `outputs` (B, O): of the result, bias included.
    """

    kernels: Tensor | None = None
    taps: Tensor | None = None
    inputs: Tensor | None = None
    outputs: Tensor | None = None
