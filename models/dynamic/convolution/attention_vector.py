"""Factors of an ODConv for the channels, filters or taps of its kernels, wholly or in part made from the input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...errors import ModelError
from ..partially_dynamic import PartiallyDynamic
from .compact_vector import CompactVector

# Shapes: B samples, R hidden units, C channels of an attention.


class AttentionVector(PartiallyDynamic):
    """sigmoid(W h / τ + b / τ), a factor for each of C channels; with a partition, a constant for some of them.

    The partition is PAD-Net's of the attentions of ODConv: λ_d M ⊙ sigmoid(...) + λ_s (1 - M) ⊙ static, with M and
    static of shape (C,). W and b start at 0, so that every factor is 1/2 at first. (In the released code the mask is
    one of single entries of W, and the static vector, memory that nothing was written to, is added to every factor.)

    After `take_compact_form` it has `compact` in the place of `fc` and its partition, and computes the same.
    """

    fc: nn.Linear
    compact: CompactVector | None

    def __init__(self, hidden: int, channels: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.fc = nn.Linear(hidden, channels)
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)
        self.register_module("compact", None)

    @property
    def weight_shape(self) -> torch.Size:
        """(C,)."""
        if self.compact is not None:
            return self.compact.mask.shape
        return self.fc.bias.shape

    def static_start(self, temperature: Tensor | float = 1.0) -> Tensor:
        """(C,) what is dynamic gives for a hidden vector of zeros."""
        return torch.sigmoid(self.fc.bias.detach() / temperature)

    def dynamic(self, hidden_BR: Tensor, temperature: Tensor) -> Tensor:
        """(B, C) the factors before any partition."""
        return torch.sigmoid(self.fc(hidden_BR) / temperature)

    def forward(self, hidden_BR: Tensor, temperature: Tensor) -> Tensor:
        """(B, C)."""
        if self.compact is not None:
            return self.compact(hidden_BR, temperature)
        return self.used_weight(self.dynamic(hidden_BR, temperature))

    def at_rest(self, temperature: Tensor) -> Tensor:
        """(C,) the factors, constants included, for a hidden vector of zeros; without a gradient."""
        parameter = next(self.parameters())
        with torch.no_grad():
            return self(parameter.new_zeros(1, self.hidden), temperature)[0]

    def dynamic_alone(self) -> list[nn.Parameter]:
        """The last layer."""
        return list(self.fc.parameters())

    def take_compact_form(self) -> None:
        """Store the rows of what is dynamic and the constants of what is static alone; the partition is fixed then.

        It can be trained further; make the optimizer afterwards. Raises `ModelError`, and changes nothing, without a
        partition and where the form is there already.
        """
        if self.compact is not None:
            raise ModelError("this attention has its compact form already")
        if self.partition is None:
            raise ModelError("this attention has no partition, and so nothing that need not be stored")
        self.put_compact(CompactVector.of(self.fc, self.partition))

    def put_compact(self, vector: CompactVector) -> None:
        """Compute with this instead of `fc` and the partition, which go."""
        vector.requires_grad_(self.fc.weight.requires_grad)
        if vector.static is not None and self.partition is not None and self.partition.static.requires_grad:
            vector.static.requires_grad_()
        self.compact = vector
        self.register_module("fc", None)
        self.partition = None
