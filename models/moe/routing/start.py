"""What a router is made of when a layer is converted, and when one is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .config import RoutingConfig

# Shapes: D width, N routed experts.

STD = 0.02
"""Standard deviation of random router weights."""


@dataclass(frozen=True, kw_only=True)
class TypicalNeurons:
    """One neuron of the dense layer for each expert: `gate` (None without) and `up` (N, D), and their biases (N,)."""

    gate: Tensor | None
    up: Tensor
    gate_bias: Tensor | None
    up_bias: Tensor | None
    activation: Callable[[Tensor], Tensor]


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
    neurons: Callable[[], TypicalNeurons]

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
