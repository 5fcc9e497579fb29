"""A dense feed-forward layer as matrices, whatever modules hold them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from ..anatomy import MLP
from .experts import ExpertBank

# Shapes: T tokens, D width, F hidden neurons.


@dataclass(frozen=True, kw_only=True)
class DenseFFN:
    """W_down (act(W_gate x) * (W_up x)) or W_down act(W_up x): gate and up (F, D), down (D, F), and their biases."""

    gate: Tensor | None
    up: Tensor
    down: Tensor
    gate_bias: Tensor | None
    up_bias: Tensor | None
    down_bias: Tensor | None
    activation: Callable[[Tensor], Tensor]

    @classmethod
    def of(cls, mlp: MLP) -> DenseFFN:
        """The matrices (not copies) of a gated or plain FFN."""
        assert mlp.up is not None and mlp.down is not None and mlp.activation is not None
        gate = None if mlp.gate is None else mlp.gate.get()
        up = mlp.up.get()
        down = mlp.down.get()
        return cls(
            gate=None if gate is None else gate.weight,
            up=up.weight,
            down=down.weight,
            gate_bias=None if gate is None else gate.bias,
            up_bias=up.bias,
            down_bias=down.bias,
            activation=mlp.activation,
        )

    @property
    def down_norm(self) -> Tensor:
        """Norm of each neuron's column of the down projection (F,)."""
        return self.down.norm(dim=0)

    def output(self, h_TF: Tensor) -> Tensor:
        """Layer output (T, D) from the input of the down projection."""
        return F.linear(h_TF, self.down, self.down_bias)

    def bank(self, groups: Sequence[Tensor]) -> ExpertBank:
        """Experts that are copies of groups of neurons."""
        return ExpertBank.of(
            groups,
            gate=self.gate,
            up=self.up,
            down=self.down,
            gate_bias=self.gate_bias,
            up_bias=self.up_bias,
            activation=self.activation,
        )
