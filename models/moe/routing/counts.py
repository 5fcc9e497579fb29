"""Sums over the tokens that a router has seen."""

from __future__ import annotations

import torch
from torch import Tensor

from .choices import Routing
from .picks import picks

# Shapes: T tokens, N routed experts, K chosen experts.


class RoutingCounts:
    """`tokens`; `picks` (N,) tokens that chose an expert; `weight` (N,) and `entropy` () sums over tokens.

    `choices`: K for each token, those that went to no expert (beyond capacity) included. Entropy is that of the softmax
    of a token's logits, in nats; None when there was a token without logits. Sums are in float64 on the CPU.
    """

    def __init__(self, experts: int) -> None:
        self.tokens = 0
        self.choices = 0
        self.picks = torch.zeros(experts, dtype=torch.float64)
        self.weight = torch.zeros(experts, dtype=torch.float64)
        self.entropy: Tensor | None = torch.zeros((), dtype=torch.float64)

    @torch.no_grad()
    def add(self, index_TK: Tensor, weight_TK: Tensor, logits_TN: Tensor | None) -> None:
        """Add tokens. An index beyond the experts stands for none."""
        experts = len(self.picks)
        self.tokens += len(index_TK)
        self.choices += index_TK.numel()
        index_S = index_TK.flatten().cpu()
        weight_S = weight_TK.flatten().cpu().double()
        taken_S = index_S < experts
        index_S = index_S[taken_S]
        self.picks += torch.bincount(index_S, minlength=experts)
        self.weight.index_add_(0, index_S, weight_S[taken_S])
        if logits_TN is None or self.entropy is None:
            self.entropy = None
        else:
            logits_TN = logits_TN.to(torch.promote_types(logits_TN.dtype, torch.float32))
            self.entropy = self.entropy + entropy(logits_TN.softmax(-1)).sum().cpu().double()


def counts(routing: Routing) -> Tensor:
    """How many tokens chose each expert (N,), in the type of the logits."""
    return picks(routing.index, routing.logits.shape[1]).to(routing.logits.dtype)


def importance(routing: Routing) -> Tensor:
    """Sum over tokens of each expert's weight (N,)."""
    experts = routing.logits.shape[1]
    empty = routing.weight.new_zeros(experts + 1)  # the last is no expert
    return empty.index_add(0, routing.index.flatten(), routing.weight.flatten())[:experts]


def entropy(probability: Tensor) -> Tensor:
    """Entropy over the last dimension, in nats."""
    return torch.special.entr(probability).sum(-1)


def cv_squared(values_N: Tensor) -> Tensor:
    """Squared coefficient of variation with the unbiased variance: 0 if all are equal, N if one has everything."""
    if len(values_N) == 1:
        return values_N.new_zeros(())
    return values_N.var() / (values_N.mean().square() + 1e-10)
