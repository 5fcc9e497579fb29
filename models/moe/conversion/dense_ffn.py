"""A dense feed-forward layer as matrices, whatever modules hold them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from ...anatomy import MLP, LinearView, linear_view
from ..experts import ExpertBank
from ..routing.start import Neurons

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
        assert mlp.down is not None and mlp.activation is not None
        gate, up = gate_and_up(mlp)
        down = linear_view(mlp.down.get(), mlp.down.path)
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

    @property
    def neurons(self) -> Neurons:
        """All of its neurons, not copies."""
        return Neurons(
            gate=self.gate,
            up=self.up,
            gate_bias=self.gate_bias,
            up_bias=self.up_bias,
            activation=self.activation,
        )

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


def gate_and_up(mlp: MLP) -> tuple[LinearView | None, LinearView]:
    """The gate (None without) and the up projection, be they two linears or the two halves of a fused one (views)."""
    if mlp.gate_up is not None:
        weight, bias = linear_view(mlp.gate_up.get(), mlp.gate_up.path)
        gate, up = weight.chunk(2)
        if bias is None:
            return LinearView(gate, None), LinearView(up, None)
        gate_bias, up_bias = bias.chunk(2)
        return LinearView(gate, gate_bias), LinearView(up, up_bias)
    assert mlp.up is not None
    up = linear_view(mlp.up.get(), mlp.up.path)
    if mlp.gate is None:
        return None, up
    return linear_view(mlp.gate.get(), mlp.gate.path), up
