"""Scores by which factors of ODConv's attentions stay dynamic, beside those of kernels in `scores.py`.

With a = sigmoid(W h / τ + b / τ) the dynamic factor of a channel and g = dL/df the gradient by the used factor
f = λ_d M a + λ_s (1 - M) S, summed over samples and batches. The criteria of pruning look at the weights that a factor
is made of, its row of W, as they look at the K entries of a kernel bank.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from ...sparsity import criteria
from ...sparsity.scoring import calibration_losses
from ..convolution.attention_vector import AttentionVector
from .scores import Scored, random, switch

# Shapes: B samples, R hidden units, C channels of an attention.


@dataclass(frozen=True, kw_only=True)
class PartitionableAttentions(Scored):
    """Attention vectors."""

    vectors: Sequence[AttentionVector]

    @property
    def weights(self) -> list[nn.Parameter]:
        """W (C, R) of each."""
        return [cast("nn.Parameter", vector.fc.weight) for vector in self.vectors]

    def by(self, criterion: str) -> list[Tensor]:
        """(C,) each, by `ATTENTION_EFFECTS`."""
        return ATTENTION_EFFECTS[criterion](self)


def remove(found: PartitionableAttentions) -> list[Tensor]:
    """g λ_d M a: the first-order change of the loss when the factor becomes 0, and its channel with it."""
    fractions = [nn.Parameter(torch.ones_like(mask.stored)) for mask in found.masks]
    with ExitStack() as stack:
        for vector, fraction_C in zip(found.vectors, fractions, strict=True):
            # f times a fraction of 1, by which the derivative is g f; where M is 1, f is λ_d a.
            handle = vector.register_forward_hook(
                lambda _module, _inputs, f_BC, fraction_C=fraction_C: f_BC * fraction_C
            )
            stack.callback(handle.remove)
        losses = stack.enter_context(calibration_losses(fractions, found.evidence, found.criterion))
        slopes = criteria.sum_of_gradients(fractions, losses)
    return [mask.stored.detach() * slope_C for mask, slope_C in zip(found.masks, slopes, strict=True)]


def magnitude(found: PartitionableAttentions) -> list[Tensor]:
    """Mean of |w| over the row of the factor."""
    return [score_CR.mean(1) for score_CR in criteria.magnitude(found.weights)]


def grasp(found: PartitionableAttentions) -> list[Tensor]:
    """Mean over the row of w (H g), signed (Wang et al., arXiv 2002.07376), over the rows of what is dynamic."""
    masks: list[Tensor] = []
    for mask, weight_CR in zip(found.masks, found.weights, strict=True):
        masks.append(mask.stored.detach()[:, None].expand_as(weight_CR))
    with calibration_losses(found.weights, found.evidence, found.criterion) as losses:
        return [score_CR.mean(1) for score_CR in criteria.grasp(found.weights, losses, masks)]


ATTENTION_EFFECTS: dict[str, Callable[[PartitionableAttentions], list[Tensor]]] = {
    "switch": switch,
    "remove": remove,
    "random": random,
    "magnitude": magnitude,
    "grasp": grasp,
    "inverted": switch,
}
"""Each gives one effect per factor of every attention."""
