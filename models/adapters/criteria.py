"""Scores by which weights are kept when adapters are pruned; the greatest stay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .masked import Masked

LossFunction = Callable[[nn.Module, Any], Tensor]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a criterion may look at: the model, calibration batches with their loss, random numbers."""

    model: nn.Module
    batches: Iterable[Any] | None = None
    loss_fn: LossFunction | None = None
    generator: torch.Generator | None = None


def random(layers: Sequence[Masked], evidence: Evidence) -> list[Tensor]:
    """Uniform random numbers."""
    if evidence.generator is None:
        raise ModelError("method='random' needs a generator: torch.Generator().manual_seed(seed)")
    return [torch.rand(layer.weight.shape, generator=evidence.generator) for layer in layers]


def magnitude(layers: Sequence[Masked], evidence: Evidence) -> list[Tensor]:
    """|w|. With init="zero_up" the whole up projection goes first."""
    return [layer.weight.detach().abs() for layer in layers]


def snip(layers: Sequence[Masked], evidence: Evidence) -> list[Tensor]:
    """|sum over batches of dL/dm| = |w dL/dw| for a mask m = 1 on the weight w (Lee et al., arXiv 1810.02340).

    The model runs in eval mode, so that dropout does not enter the scores.
    """
    if evidence.batches is None or evidence.loss_fn is None:
        raise ModelError("method='snip' needs batches and loss_fn(model, batch)")
    weights = [layer.weight for layer in layers]
    modes = {module: module.training for module in evidence.model.modules()}
    sums, count = [torch.zeros_like(weight) for weight in weights], 0
    evidence.model.eval()
    try:
        for batch in evidence.batches:
            loss = evidence.loss_fn(evidence.model, batch)
            gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
            sums, count = [total + gradient for total, gradient in zip(sums, gradients, strict=True)], count + 1
    finally:
        for module, training in modes.items():
            module.training = training
    if count == 0:
        raise ModelError("method='snip' got no batch: the scores need at least one")
    return [(weight.detach() * total).abs() for weight, total in zip(weights, sums, strict=True)]


CRITERIA: dict[str, Callable[[Sequence[Masked], Evidence], list[Tensor]]] = {
    "random": random,
    "magnitude": magnitude,
    "snip": snip,
}
