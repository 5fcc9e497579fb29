"""Routers of ModuleFormer, and the losses that keep their experts busy alike (arXiv 2306.04640, section 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..moe.routing.choices import Routing
from ..moe.routing.config import RoutingConfig
from ..moe.routing.router import LinearRouter, Router
from .configuration import MoLMConfig

# Shapes: T tokens, D width, N experts, G numbers that a router computes of a token.

EPSILON = 1e-8
Z_WEIGHT = 0.1
"""Of the squared log of the sum of exponentials, beside the balance of "switch"."""


class GELURouter(Router):
    """logits = V dropout(GELU(W x + b)), W (G, D), b (G,), V (N, G)."""

    rows = ("output",)

    def __init__(self, config: RoutingConfig, hidden_GD: Tensor, output_NG: Tensor, dropout: float) -> None:
        super().__init__(config, output_NG)
        self.hidden = nn.Parameter(hidden_GD)
        self.hidden_bias = nn.Parameter(hidden_GD.new_zeros(len(hidden_GD)))
        self.output = nn.Parameter(output_NG)
        self.dropout = nn.Dropout(dropout)

    @property
    def num_routed(self) -> int:
        """N."""
        return len(self.output)

    def logits(self, x_TD: Tensor) -> Tensor:
        """V dropout(GELU(W x + b))."""
        acted_TG = F.gelu(F.linear(x_TD, self.hidden.to(x_TD.dtype), self.hidden_bias.to(x_TD.dtype)))
        return F.linear(self.dropout(acted_TG), self.output.to(x_TD.dtype))


class CosineRouter(Router):
    """logits = exp(t) cos(W x, c), W (G, D), centroids c (N, G), t (1,)."""

    rows = ("centroids",)

    def __init__(self, config: RoutingConfig, projection_GD: Tensor, centroids_NG: Tensor) -> None:
        super().__init__(config, centroids_NG)
        self.projection = nn.Parameter(projection_GD)
        self.centroids = nn.Parameter(centroids_NG)
        self.log_sharpness = nn.Parameter(centroids_NG.new_zeros(1))

    @property
    def num_routed(self) -> int:
        """N."""
        return len(self.centroids)

    def logits(self, x_TD: Tensor) -> Tensor:
        """exp(t) cos(W x, c)."""
        z_TG = F.normalize(F.linear(x_TD, self.projection.to(x_TD.dtype)), dim=-1)
        centroids_NG = F.normalize(self.centroids.to(x_TD.dtype), dim=-1)
        return F.linear(z_TG, centroids_NG) * self.log_sharpness.to(x_TD.dtype).exp()


def make_router(config: MoLMConfig, experts: int, top_k: int) -> Router:
    """A router of the kind that the configuration names; its weights are probabilities of all experts, not renormed."""
    routing = RoutingConfig(num_experts=experts, top_k=top_k, score="softmax_topk", renorm=False, scale=1.0)
    width = config.hidden_size
    size = config.router_size
    if config.router == "linear":
        return LinearRouter(routing, torch.empty(experts, width))
    if config.router == "cosine":
        return CosineRouter(routing, torch.empty(size, width), torch.empty(experts, size))
    return GELURouter(routing, torch.empty(size, width), torch.empty(experts, size), config.router_dropout)


def balance_loss(kind: str, routing: Routing) -> Tensor:
    """A loss on where the tokens of a call went.

    Args:
        kind: "mutual_information": minus that of token and expert, H(e | x) - H(e). "switch": N times the sum over
            experts of their probability and the fraction of choices that they got, and a tenth of the z-loss.
        routing: of all tokens.

    Returns:
        The loss, without dimension.
    """
    logits_TN = routing.logits
    probability_TN = logits_TN.softmax(-1)
    if kind == "mutual_information":
        mean_N = probability_TN.mean(0)
        entropy = -(mean_N * (mean_N + EPSILON).log()).sum()
        given_token = -(probability_TN * logits_TN.log_softmax(-1)).sum(-1).mean()
        return given_token - entropy
    experts = logits_TN.shape[1]
    chosen_N = torch.bincount(routing.index.flatten(), minlength=experts).to(logits_TN.dtype)
    balance = experts * (probability_TN.mean(0) * chosen_N / chosen_N.sum()).sum()
    return balance + Z_WEIGHT * logits_TN.logsumexp(-1).square().mean()
