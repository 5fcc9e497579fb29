"""Criteria by name on masked layers: what they may look at, and the calibration losses in a state that scores fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..evaluation import evaluation_mode
from ..registry import Registry, function_in
from . import criteria
from .bottleneck_units import Pair, pair_of
from .criteria import Losses
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


Criterion = Callable[[Sequence[Masked], Evidence], list[Tensor]]


def generator_of(evidence: Evidence, what: str) -> torch.Generator:
    """The generator that draws.

    Raises:
        ModelError: there is none; the message says what needs it.
    """
    if evidence.generator is None:
        raise ModelError(f"{what!r} needs a generator: torch.Generator().manual_seed(seed)")
    return evidence.generator


def gradients(layers: Sequence[Masked], evidence: Evidence, method: str) -> list[Tensor]:
    """dL/dw of every stored entry, with L summed over the batches. `method` is named in errors."""
    weights = _weights(layers)
    with calibration_losses(weights, evidence, method) as losses:
        return criteria.sum_of_gradients(weights, losses)


@contextmanager
def calibration_losses(weights: Sequence[nn.Parameter], evidence: Evidence, method: str) -> Iterator[Losses]:
    """The losses of the batches, in eval mode (no dropout), with gradients for `weights`.

    Modes and `requires_grad` are as before afterwards.

    Args:
        weights: what gets a gradient.
        evidence: model, batches and loss function.
        method: names what needs them, in an error.

    Yields:
        A function that gives the losses of all batches, again at each call.

    Raises:
        ModelError: without batches or a loss function.
    """
    if evidence.batches is None or evidence.loss_fn is None:
        raise ModelError(f"method={method!r} needs batches and loss_fn(model, batch)")
    if len(evidence.batches) == 0:
        raise ModelError(f"method={method!r} got no batch: the scores need at least one")
    batches = evidence.batches
    flags = [weight.requires_grad for weight in weights]
    try:
        for weight in weights:
            weight.requires_grad_(True)
        with evaluation_mode(evidence.model), torch.enable_grad():
            yield lambda: (_loss(evidence, batch) for batch in batches)
    finally:
        for weight, flag in zip(weights, flags, strict=True):
            weight.requires_grad_(flag)


def _random(layers: Sequence[Masked], evidence: Evidence) -> list[Tensor]:
    """Uniform random numbers."""
    return criteria.random(_weights(layers), generator_of(evidence, "random"))


def _magnitude(layers: Sequence[Masked], evidence: Evidence) -> list[Tensor]:
    """The size of the weight."""
    return criteria.magnitude(_weights(layers))


def _snip(layers: Sequence[Masked], evidence: Evidence) -> list[Tensor]:
    """SNIP (arXiv 1810.02340): how the loss depends on whether the weight is there."""
    weights = _weights(layers)
    with calibration_losses(weights, evidence, "snip") as losses:
        return criteria.snip(weights, losses)


def _grasp(layers: Sequence[Masked], evidence: Evidence) -> list[Tensor]:
    """GraSP (arXiv 2002.07376): what holds up the norm of the gradient stays."""
    weights = _weights(layers)
    with calibration_losses(weights, evidence, "grasp") as losses:
        return criteria.grasp(weights, losses)


def _synflow(layers: Sequence[Masked], evidence: Evidence) -> list[Tensor]:
    """SynFlow (arXiv 2006.05467): the flow through the weight, without data."""
    by_pair: dict[int, tuple[Tensor, Tensor]] = {}
    scores = []
    for layer in layers:
        pair, side = pair_of(layer, evidence.pairs)
        if id(pair) not in by_pair:  # both projections of a pair are scored at once
            by_pair[id(pair)] = criteria.synflow(pair.down.effective(), pair.up.effective())
        dense = by_pair[id(pair)][side]
        scores.append(dense[layer.mask])
    return scores


CRITERIA: dict[str, Criterion] = {
    "random": _random,
    "magnitude": _magnitude,
    "snip": _snip,
    "grasp": _grasp,
    "synflow": _synflow,
}
"""Those of this package. Each gives one score per stored entry of every layer."""


def _read(module: ModuleType) -> Criterion:
    return function_in(module, "score")


FURTHER: Registry[Criterion] = Registry("criterion", (*CRITERIA, "er", "erk"), _read)
"""All criteria, others too; "er" and "erk" are random scores with densities of their own."""


def register_criterion(name: str, score: Criterion) -> None:
    """Let `sparsify(method=name)` mean a function of yours, in this process.

    A package has an entry point in the group `sparsebench.criteria` instead, for a module with a function `score`.

    Args:
        name: an identifier that no criterion has yet.
        score: gives for each layer, of `layer.stored` and the evidence, a tensor of that shape; the greatest stay.

    Raises:
        ModelError: the name is taken.

    Example::

        def least(layers: Sequence[Masked], evidence: Evidence) -> list[Tensor]:
            return [-layer.stored.detach().abs() for layer in layers]

        register_criterion("least", least)
        sparsify(adapters, method="least", sparsity=0.5)
    """
    FURTHER.register(name, score, score.__module__)


def criterion(name: str) -> Criterion:
    """What scores by that name. Raises `ModelError` for one that nobody has."""
    return CRITERIA[name] if name in CRITERIA else _checked(name, FURTHER.get(name))


def _checked(name: str, score: Criterion) -> Criterion:
    """A criterion of somebody else's, whose scores are refused where they are no scores of these layers."""

    def checked(layers: Sequence[Masked], evidence: Evidence) -> list[Tensor]:
        scores = score(layers, evidence)
        if len(scores) != len(layers):
            raise ModelError(f"criterion {name!r} gave scores of {len(scores)} layers, not {len(layers)}")
        for layer, found in zip(layers, scores, strict=True):
            if found.shape != layer.stored.shape:
                raise ModelError(
                    f"criterion {name!r} gave scores of the shape {tuple(found.shape)} for {tuple(layer.stored.shape)} "
                    "stored entries"
                )
        return [found.detach() for found in scores]

    return checked


def _weights(layers: Sequence[Masked]) -> list[nn.Parameter]:
    return [layer.stored for layer in layers]


def _loss(evidence: Evidence, batch: object) -> Tensor:
    assert evidence.loss_fn is not None
    loss = evidence.loss_fn(evidence.model, batch)
    if not isinstance(loss, Tensor):
        raise ModelError(f"loss_fn gave a {type(loss).__name__}{_LOSS}")
    if loss.numel() != 1 or not loss.requires_grad:
        raise ModelError(f"loss_fn gave a tensor of shape {tuple(loss.shape)}{_LOSS}")
    return loss


_LOSS = ": it must give a scalar tensor that depends on the weights to prune"
