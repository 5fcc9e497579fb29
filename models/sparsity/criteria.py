"""Scores by which entries of adapter weights are kept when adapters are pruned; the greatest stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..errors import ModelError
from .bottleneck_units import Pair, pair_of, unit_sums
from .masked import Masked

LossFunction = Callable[[nn.Module, Any], Tensor]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a criterion may look at: model, pairs of projections, calibration batches with their loss, random numbers.

    `loss_fn(model, batch)` gives a scalar; the loss of the calibration data is the sum over batches.
    """

    model: nn.Module
    pairs: Sequence[Pair] = ()
    batches: Sequence[Any] | None = None
    loss_fn: LossFunction | None = None
    generator: torch.Generator | None = None


def random(layers: Sequence[Masked], evidence: Evidence) -> list[Tensor]:
    """Uniform random numbers."""
    return [torch.rand(layer.stored.shape, generator=generator_of(evidence, "random")) for layer in layers]


def magnitude(layers: Sequence[Masked], evidence: Evidence) -> list[Tensor]:
    """|w|. With init="zero_up" the whole up projection goes first."""
    return [layer.stored.detach().abs() for layer in layers]


def snip(layers: Sequence[Masked], evidence: Evidence) -> list[Tensor]:
    """|dL/dm| = |w dL/dw| for a mask m = 1 on the weight w (Lee et al., arXiv 1810.02340, equation 4).

    Their division by the sum of all scores is left out: it changes no rank.
    """
    gradient = gradients(layers, evidence, "snip")
    return [(layer.stored.detach() * part).abs() for layer, part in zip(layers, gradient, strict=True)]


def grasp(layers: Sequence[Masked], evidence: Evidence, masks: Sequence[Tensor] | None = None) -> list[Tensor]:
    """w (H g), signed, with g = dL/dw and H the Hessian over all adapter weights (Wang et al., arXiv 2002.07376).

    It is -1/2 of the first-order change of |g|^2 when the weight is removed: what holds up the gradient norm stays. The
    published criterion divides the logits by 200 and SparseAdapter does not; `loss_fn` may. Two passes over the data.
    With `masks` m (of the weights' shapes) that are on the weights, g is m dL/dw: only what is there moves.
    """
    weights, plain = [layer.stored for layer in layers], sdpa_kernel(SDPBackend.MATH)  # fused: no second derivative
    with _scoring(evidence, "grasp", weights) as losses, plain:
        total = _sum_of_gradients(losses(), weights)
        if masks is not None:
            total = [gradient * mask for gradient, mask in zip(total, masks, strict=True)]
        product = [torch.zeros_like(weight) for weight in weights]
        for loss in losses():
            gradient = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True, materialize_grads=True)
            inner = sum(((g * t).sum() for g, t in zip(gradient, total, strict=True)), torch.zeros(()))
            if inner.requires_grad:  # not so where the loss is linear in the weights
                parts = torch.autograd.grad(inner, weights, allow_unused=True, materialize_grads=True)
                product = [p + part for p, part in zip(product, parts, strict=True)]
    return [weight.detach() * p for weight, p in zip(weights, product, strict=True)]


def synflow(layers: Sequence[Masked], evidence: Evidence) -> list[Tensor]:
    """|w dR/dw| / R with R the product over adapters of the flow 1^T |U| |D| 1 (Tanaka et al., arXiv 2006.05467).

    Without data and in float64. Biases, norms and activations do not enter; D (r, in) and U (out, r) of one adapter
    have the scores |D_ji| sum_o |U_oj| and |U_oj| sum_i |D_ji|, over its flow. As in a chain of layers all weights then
    have the same sum of scores, 1, and every unit gets as much as it gives, so that in small rounds no weight is
    emptied before the others. (The released code adds the flows up; a weaker adapter then goes as a whole.)
    """
    scores = []
    for layer in layers:
        pair, side = pair_of(layer, evidence.pairs)
        other = pair.up if side == 0 else pair.down
        sums = unit_sums(other.effective(torch.float64).detach().abs(), 1 - side)
        weight = layer.effective(torch.float64).detach().abs()
        through = weight * sums.view([-1 if d == side else 1 for d in range(weight.dim())])
        flow = through.sum()
        scores.append((through / flow if flow > 0 else through)[layer.mask])
    return scores


CRITERIA: dict[str, Callable[[Sequence[Masked], Evidence], list[Tensor]]] = {
    "random": random,
    "magnitude": magnitude,
    "snip": snip,
    "grasp": grasp,
    "synflow": synflow,
}
"""Each gives one score per stored entry of every layer."""


def generator_of(evidence: Evidence, what: str) -> torch.Generator:
    """The generator, or a `ModelError` that says what needs one."""
    if evidence.generator is None:
        raise ModelError(f"{what!r} needs a generator: torch.Generator().manual_seed(seed)")
    return evidence.generator


def gradients(layers: Sequence[Masked], evidence: Evidence, method: str) -> list[Tensor]:
    """dL/dw of every stored entry, with L summed over the batches."""
    weights = [layer.stored for layer in layers]
    with _scoring(evidence, method, weights) as losses:
        return _sum_of_gradients(losses(), weights)


@contextmanager
def _scoring(
    evidence: Evidence, method: str, weights: Sequence[nn.Parameter]
) -> Iterator[Callable[[], Iterator[Tensor]]]:
    """Gives a function that gives the loss of each batch, in eval mode (no dropout), with gradients for `weights`.

    Modes and `requires_grad` are as before afterwards.
    """
    if evidence.batches is None or evidence.loss_fn is None:
        raise ModelError(f"method={method!r} needs batches and loss_fn(model, batch)")
    if len(evidence.batches) == 0:
        raise ModelError(f"method={method!r} got no batch: the scores need at least one")
    modes = {module: module.training for module in evidence.model.modules()}
    flags = [weight.requires_grad for weight in weights]
    evidence.model.eval()
    try:
        for weight in weights:
            weight.requires_grad_(True)
        with torch.enable_grad():
            yield lambda: (_loss(evidence, batch) for batch in evidence.batches or ())
    finally:
        for module, training in modes.items():
            module.training = training
        for weight, flag in zip(weights, flags, strict=True):
            weight.requires_grad_(flag)


def _loss(evidence: Evidence, batch: Any) -> Tensor:
    assert evidence.loss_fn is not None
    loss = evidence.loss_fn(evidence.model, batch)
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
        what = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise ModelError(f"loss_fn gave {what}: it must give a scalar tensor that depends on the adapters")
    return loss


def _sum_of_gradients(losses: Iterator[Tensor], weights: Sequence[nn.Parameter]) -> list[Tensor]:
    sums = [torch.zeros_like(weight) for weight in weights]
    for loss in losses:
        parts = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
        sums = [total + part for total, part in zip(sums, parts, strict=True)]
    return sums
