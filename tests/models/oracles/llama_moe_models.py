"""Layers of LLaMA-MoE v1 from weights with official names, and their gradients under these names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.experts import ExpertBank
from sparsebench.models.moe.layer import MoEFFN
from sparsebench.models.moe.routing.router import LinearRouter, MLPRouter, Router

PARTS = ("gate", "up", "down")

Weights = Mapping[str, Tensor]


def v1_bank(weights: Weights, sizes: Sequence[int]) -> ExpertBank:
    """The experts, of these numbers of neurons."""
    gate, up, down = (
        [weights[f"calculator.experts.weight_{part}.{expert}"] for expert in range(len(sizes))] for part in PARTS
    )
    ends = torch.tensor([0, *sizes]).cumsum(0).tolist()
    groups = [torch.arange(start, end) for start, end in pairwise(ends)]
    return ExpertBank.of(groups, gate=torch.cat(gate), up=torch.cat(up), down=torch.cat(down, dim=1), activation=F.silu)


def v1_router(weights: Weights, config: MoEConfig) -> Router:
    """The gate, linear or an MLP, with its noise if it has any."""
    if config.router == "linear":
        made: Router = LinearRouter(config, weights["gate.gate_network.weight"])
    else:
        made = MLPRouter(config, weights["gate.gate_network.0.weight"], weights["gate.gate_network.2.weight"])
    if made.noise is not None:
        made.noise.data.copy_(weights["gate.weight_noise.weight"])
    return made


def v1_layer(weights: Weights, config: MoEConfig, sizes: Sequence[int]) -> MoEFFN:
    """Gate and experts."""
    return MoEFFN(
        config=config,
        router=v1_router(weights, config),
        experts=v1_bank(weights, sizes),
        shared=None,
        down_bias=None,
        neurons=torch.arange(sum(sizes)),
        hidden=sum(sizes),
        template=(nn.Identity(), None),
    )


def v1_gradients(made: MoEFFN) -> dict[str, Tensor]:
    """Of every weight that has one, under its official name."""
    found: dict[str, Tensor | None] = {}
    if isinstance(made.router, LinearRouter):
        found["gate.gate_network.weight"] = made.router.weight.grad
    elif isinstance(made.router, MLPRouter):
        found["gate.gate_network.0.weight"] = made.router.hidden.grad
        found["gate.gate_network.2.weight"] = made.router.output.grad
    if made.router.noise is not None:
        found["gate.weight_noise.weight"] = made.router.noise.grad
    assert made.experts.gate_up.grad is not None and made.experts.down.grad is not None
    for expert, size in enumerate(made.experts.sizes):
        gate, up = made.experts.gate_up.grad[expert].chunk(2)
        parts = (gate[:size], up[:size], made.experts.down.grad[expert][:, :size])
        for part, gradient in zip(PARTS, parts, strict=True):
            found[f"calculator.experts.weight_{part}.{expert}"] = gradient
    return {name: gradient for name, gradient in found.items() if gradient is not None}
