"""Sums over the tokens that a router has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .router import Routing

# Shapes: N routed experts.


class RoutingCounts:
    """`tokens`; `picks` (N,) tokens that chose an expert; `weight` (N,) and `entropy` () sums over tokens.

    Entropy is that of the softmax of a token's logits, in nats. Sums are in float64 on the CPU, 0 before any token.
    """

    def __init__(self) -> None:
        self.tokens = 0
        zero = torch.zeros((), dtype=torch.float64)
        self.picks = zero
        self.weight = zero
        self.entropy = zero

    @torch.no_grad()
    def add(self, routing: Routing) -> None:
        """Add the tokens of one forward pass."""
        self.tokens += len(routing.logits)
        # A scalar in float64 plus a vector in float32 is a vector in float32, in which large counts stand still.
        self.picks = self.picks + counts(routing).cpu().double()
        self.weight = self.weight + importance(routing).cpu().double()
        self.entropy = self.entropy + entropy(routing.logits.softmax(-1)).sum().cpu().double()


def counts(routing: Routing) -> Tensor:
    """How many tokens chose each expert (N,)."""
    chosen = torch.bincount(routing.index.flatten(), minlength=routing.logits.shape[1])
    return chosen.to(routing.logits.dtype)


def importance(routing: Routing) -> Tensor:
    """Sum over tokens of each expert's weight (N,)."""
    empty = routing.weight.new_zeros(routing.logits.shape[1])
    return empty.index_add(0, routing.index.flatten(), routing.weight.flatten())


def entropy(probability: Tensor) -> Tensor:
    """Entropy over the last dimension, in nats."""
    return torch.special.entr(probability).sum(-1)
