"""What a router is made of when a layer is converted, and when one is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .config import RoutingConfig

# Shapes: D width, N routed experts.

STD = 0.02
"""Standard deviation of random router weights."""


@dataclass(frozen=True, kw_only=True)
class Neurons:
    """Neurons of a dense layer, but for what they write: `gate` (None without) and `up` (N, D), and biases (N,)."""

    gate: Tensor | None
    up: Tensor
    gate_bias: Tensor | None
    up_bias: Tensor | None
    activation: Callable[[Tensor], Tensor]

    def at(self, indices_N: Tensor) -> Neurons:
        """Copies of some of them."""
        at = indices_N.to(self.up.device)
        return replace(
            self,
            gate=None if self.gate is None else self.gate[at],
            up=self.up[at],
            gate_bias=None if self.gate_bias is None else self.gate_bias[at],
            up_bias=None if self.up_bias is None else self.up_bias[at],
        )

    def hidden(self, x_TD: Tensor) -> Tensor:
        """Their activations (T, N), act(W_gate x) * (W_up x) or act(W_up x)."""
        up_TN = F.linear(x_TD, self.up, self.up_bias)
        if self.gate is None:
            return self.activation(up_TN)
        return self.activation(F.linear(x_TD, self.gate, self.gate_bias)) * up_TN

    def unit(self) -> Neurons:
        """The same with rows of unit length, biases scaled alike, so that neurons of long rows are not ahead."""
        gate, gate_bias = _unit(self.gate, self.gate_bias)
        up, up_bias = _unit(self.up, self.up_bias)
        assert up is not None
        return replace(self, gate=gate, up=up, gate_bias=gate_bias, up_bias=up_bias)


@dataclass(frozen=True, kw_only=True)
class RouterStart:
    """What `Router.start` may use. When a layer is loaded, all values are placeholders of the right shapes.

    Attributes:
        config: how tokens choose; `config.num_routed` is N.
        init: `MoEConfig.router_init`.
        width: D.
        like: a tensor of the layer, whose dtype and device the router's have to be.
        generator: on the CPU; whatever is random is drawn from it.
        make_rows: gives the rows of `rows`.
        neurons: gives the most typical neuron of each expert, for routers with `from_neurons`.
    """

    config: RoutingConfig
    init: str
    width: int
    like: Tensor
    generator: torch.Generator
    make_rows: Callable[[], Tensor]
    neurons: Callable[[], Neurons]

    def rows(self) -> Tensor:
        """A row for each expert (N, D), as `init` says: random, zeros, or made of the layer and its activations."""
        return self.make_rows().to(self.like)

    def random(self, rows: int, columns: int) -> Tensor:
        """A matrix N(0, 0.02^2)."""
        return drawn(rows, columns, self.generator).to(self.like)


def drawn(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """A matrix N(0, 0.02^2) in float32, on the generator's device.

    Args:
        rows: its rows.
        columns: its columns.
        generator: of the random numbers.

    Returns:
        The matrix (rows, columns).
    """
    return torch.randn(rows, columns, generator=generator, device=generator.device) * STD


def _unit(row_ND: Tensor | None, bias_N: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    if row_ND is None:
        return None, None
    length_N = row_ND.norm(dim=1).clamp(min=torch.finfo(row_ND.dtype).tiny)
    bias_N = None if bias_N is None else bias_N / length_N
    return row_ND / length_N.unsqueeze(1), bias_N
