"""Scores by which entries of dynamic weights stay dynamic; the greatest stay.

With g = dL/dW the gradient by the used weight W(x) = lambda_d M * D(x) + lambda_s (1 - M) * S, summed over samples and
batches, D(x) the mixed dynamic weight and S the static one. A criterion gives an effect per entry; what is done with
the sum of effects of a candidate (its magnitude, say) is said by `FINISH`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from ...errors import ModelError
from ...sparsity import criteria
from ...sparsity.scoring import Evidence, calibration_losses, generator_of
from ..layer import DynamicLayer
from .candidates import OpenMask

# Shapes: K kernels or experts.

Criterion = Literal["switch", "remove", "random", "magnitude", "grasp", "inverted"]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Parts with their open masks, and what a criterion may look at (model, batches, loss, random numbers)."""

    masks: Sequence[OpenMask]
    evidence: Evidence
    criterion: Criterion = "switch"

    def by(self, criterion: str) -> list[Tensor]:
        """One effect per entry of every part, by a criterion."""
        raise NotImplementedError

    def effects(self) -> list[Tensor]:
        """One effect per entry of every part, by the criterion."""
        return self.by(self.criterion)

    def references(self, effects: Sequence[Tensor]) -> list[Tensor]:
        """What the effects are differences of, of the same shapes: where all are tiny against it, they are rounding.

        Of "switch" it is the dynamic part of the used weight; of the other criteria, the effects.
        """
        if self.criterion in ("switch", "inverted"):
            return self.by("remove")
        return list(effects)


@dataclass(frozen=True, kw_only=True)
class Partitionable(Scored):
    """The kernels of layers."""

    layers: Sequence[DynamicLayer]
    banks: list[nn.Parameter] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "banks", [layer.bank for layer in self.layers])

    def by(self, criterion: str) -> list[Tensor]:
        """By `EFFECTS`."""
        return EFFECTS[criterion](self)


def switch(found: Scored) -> list[Tensor]:
    """dL/dM = g * (lambda_d D - lambda_s S): the first-order change of the loss when the entry changes its mode.

    PAD-Net (He et al., arXiv 2211.05528): what matters least turns static. (The released code calls this "snip".)
    0 where dynamic and static weights are equal.
    """
    masks = [mask.stored for mask in found.masks]
    with calibration_losses(masks, found.evidence, found.criterion) as losses:
        return criteria.sum_of_gradients(masks, losses)


def remove(found: Partitionable) -> list[Tensor]:
    """g * lambda_d M * D: the first-order change of the loss when the dynamic entry goes and nothing takes its place.

    It is the sum over kernels of w dL/dw, which holds for any way of mixing them that is linear in the kernels.
    """
    with calibration_losses(found.banks, found.evidence, found.criterion) as losses:
        gradients = criteria.sum_of_gradients(found.banks, losses)
    summed: list[Tensor] = []
    for bank, gradient in zip(found.banks, gradients, strict=True):
        summed.append((bank.detach() * gradient).sum(0))
    return summed


def random(found: Scored) -> list[Tensor]:
    """Uniform random numbers: the control of every criterion."""
    return criteria.random([mask.stored for mask in found.masks], generator_of(found.evidence, "random"))


def magnitude(found: Partitionable) -> list[Tensor]:
    """Mean of |w| over the kernels."""
    return [score.mean(0) for score in criteria.magnitude(found.banks)]


def grasp(found: Partitionable) -> list[Tensor]:
    """Mean over the kernels of w (H g), signed (Wang et al., arXiv 2002.07376), over what is dynamic."""
    masks = [mask.stored.detach().expand_as(bank) for mask, bank in zip(found.masks, found.banks, strict=True)]
    with calibration_losses(found.banks, found.evidence, found.criterion) as losses:
        return [score.mean(0) for score in criteria.grasp(found.banks, losses, masks)]


EFFECTS: dict[str, Callable[[Partitionable], list[Tensor]]] = {
    "switch": switch,
    "remove": remove,
    "random": random,
    "magnitude": magnitude,
    "grasp": grasp,
    "inverted": switch,
}
"""Each gives one effect per entry of every layer's kernels. "inverted" keeps dynamic what "switch" turns static."""


def _as_it_is(effect: Tensor) -> Tensor:
    return effect


def _least_first(effect: Tensor) -> Tensor:
    return -effect.abs()


FINISH: dict[str, Callable[[Tensor], Tensor]] = {
    "switch": torch.abs,
    "remove": torch.abs,
    "inverted": _least_first,
}
"""From the effect of a candidate to its score; the effects of the other criteria are scores as they are."""


def finish(criterion: str) -> Callable[[Tensor], Tensor]:
    """The last step of a criterion, on the summed effects of a candidate."""
    return FINISH.get(criterion, _as_it_is)


def entry_effects(found: Scored, names: Sequence[str]) -> list[Tensor]:
    """Effects of the entries by the criterion. Raises `ModelError` for one that is NaN or infinite, with its layer."""
    effects = found.effects()
    for name, effect in zip(names, effects, strict=True):
        bad = int((~effect.isfinite()).sum())
        if bad:
            raise ModelError(
                f"{bad} of {effect.numel()} scores of {name} by criterion={found.criterion!r} are NaN or infinite: "
                "nothing was partitioned. Look at the loss of the calibration batches; criterion='random' and "
                "'magnitude' need none"
            )
    return effects
