"""Scores by which entries of weights are kept when a model is pruned; the greatest stay.

Each criterion is a function of weights and, where it looks at data, of the losses on calibration batches: it knows
neither the model nor the layers that the weights lie in. `scoring` applies them to masked layers by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from .bottleneck_units import unit_sums

Losses = Callable[[], Iterable[Tensor]]
"""Each call gives the loss of every calibration batch again, as scalars that depend on the weights."""

# Shapes: R units of a bottleneck, I inputs, O outputs (each perhaps with the size of a kernel after them).


def random(weights: Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
    """Uniform random numbers."""
    return [torch.rand(weight.shape, generator=generator) for weight in weights]


def magnitude(weights: Sequence[Tensor]) -> list[Tensor]:
    """|w|. A weight that starts as 0, such as the up projection of LoRA, goes first as a whole."""
    return [weight.detach().abs() for weight in weights]


def snip(weights: Sequence[nn.Parameter], losses: Losses) -> list[Tensor]:
    """|dL/dm| = |w dL/dw| for a mask m = 1 on the weight w (Lee et al., arXiv 1810.02340, equation 4).

    L is the sum over the batches. Their division by the sum of all scores is not done: it changes no rank.
    """
    gradients = sum_of_gradients(weights, losses)
    return [(weight.detach() * gradient).abs() for weight, gradient in zip(weights, gradients, strict=True)]


def grasp(weights: Sequence[nn.Parameter], losses: Losses, masks: Sequence[Tensor] | None = None) -> list[Tensor]:
    """w (H g), signed, with g = dL/dw and H the Hessian over all the weights (Wang et al., arXiv 2002.07376).

    It is -1/2 of the first-order change of |g|^2 when the weight is removed: what holds up the gradient norm stays. The
    published criterion divides the logits by 200 and SparseAdapter does not; the losses may. Two passes over the data.
    With `masks` m (of the weights' shapes) that are on the weights, g is m dL/dw: only what is there moves.
    """
    with sdpa_kernel(SDPBackend.MATH):  # fused attention has no second derivative
        gradient = sum_of_gradients(weights, losses)
        if masks is not None:
            gradient = [slope * mask for slope, mask in zip(gradient, masks, strict=True)]
        product = [torch.zeros_like(weight) for weight in weights]
        # H is a sum over the batches, so H g is one too: one graph at a time is in memory.
        for loss in losses():
            part = _hessian_product(loss, weights, gradient)
            product = _added(product, part)
    return [weight.detach() * entry for weight, entry in zip(weights, product, strict=True)]


def synflow(down_RI: Tensor, up_OR: Tensor) -> tuple[Tensor, Tensor]:
    """|w dR/dw| / R with R the product over bottlenecks of the flow 1^T |U| |D| 1 (Tanaka et al., arXiv 2006.05467).

    Of one bottleneck with the projections D (r, in) and U (out, r), in float64: scores |D_ji| sum_o |U_oj| and
    |U_oj| sum_i |D_ji|, over its flow. Biases, norms and activations do not enter. As in a chain of layers all weights
    then have the same sum of scores, 1, and every unit gets as much as it gives, so that in small rounds no weight is
    emptied before the others. (The released code of SparseAdapter adds the flows up; a weaker adapter then goes as a
    whole.) A bottleneck through which nothing flows has scores 0.
    """
    down_RI = down_RI.detach().double().abs()
    up_OR = up_OR.detach().double().abs()
    gets_R = unit_sums(down_RI, 0)
    gives_R = unit_sums(up_OR, 1)
    flow = gets_R @ gives_R
    if flow > 0:
        gets_R = gets_R / flow
        gives_R = gives_R / flow
    return _along_units(down_RI, gives_R, 0), _along_units(up_OR, gets_R, 1)


def sum_of_gradients(weights: Sequence[nn.Parameter], losses: Losses) -> list[Tensor]:
    """dL/dw with L the sum of the losses; 0 for weights that it does not depend on."""
    total = [torch.zeros_like(weight) for weight in weights]
    for loss in losses():
        part = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
        total = _added(total, part)
    return total


def _hessian_product(loss: Tensor, weights: Sequence[nn.Parameter], vector: Sequence[Tensor]) -> Sequence[Tensor]:
    """H v with H the Hessian of one loss, as the gradient of g . v; H itself is never made."""
    gradient = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True, materialize_grads=True)
    # g . v is a number whose gradient is H v, so that two backward passes do what the matrix would.
    inner = torch.zeros(())
    for one, other in zip(gradient, vector, strict=True):
        inner = inner + (one * other).sum()
    if not inner.requires_grad:  # the loss is linear in the weights
        return [torch.zeros_like(weight) for weight in weights]
    return torch.autograd.grad(inner, weights, allow_unused=True, materialize_grads=True)


def _added(totals: Sequence[Tensor], parts: Sequence[Tensor]) -> list[Tensor]:
    return [total + part for total, part in zip(totals, parts, strict=True)]


def _along_units(weight: Tensor, factor_R: Tensor, dim: int) -> Tensor:
    """A weight whose dimension `dim` counts units, times a factor for each unit."""
    shape = [1] * weight.dim()
    shape[dim] = len(factor_R)
    return weight * factor_R.view(shape)
