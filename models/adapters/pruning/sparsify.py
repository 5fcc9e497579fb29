"""Pruning of adapters at initialisation: SparseAdapter (He et al., arXiv 2210.04284)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import torch

from ...errors import ModelError, check_choice, check_whole
from ...sparsity.budgets import Schedule, erdos_renyi
from ...sparsity.granularity import BottleneckUnits, Granularity, SingleWeights
from ...sparsity.masked import Masked
from ...sparsity.scoring import Evidence, LossFunction, criterion, generator_of
from ...sparsity.selection import Group, choose, shuffled
from ..adapter_set import AdapterSet
from .adapter_units import pairs
from .faithful import faithful_masks
from .report import Report, describe_pruning

RANDOM = ("er", "erk")  # random scores, densities by shape
Scope = Literal["global", "local"]
GranularityName = Literal["weight", "unit"]


def sparsify(
    adapters: AdapterSet,
    *,
    method: str = "snip",
    sparsity: float | None = None,
    density: float | None = None,
    batches: Iterable[object] | None = None,
    loss_fn: LossFunction | None = None,
    scope: Scope = "global",
    rounds: int | None = None,
    schedule: Schedule = "exponential",
    shuffle_within_layer: bool = False,
    generator: torch.Generator | None = None,
    granularity: GranularityName = "weight",
    faithful: bool = False,
) -> Report:
    """Remove the adapter weights of lowest score; biases, norms and the head stay. Make the optimizer afterwards.

    Exactly round(density N) of N weights stay, for scope="local" of every weight tensor; equal scores are ranked by
    position. What was removed before stays removed, and N counts it. Scores are taken in eval mode; no gradients stay.

    Args:
        adapters: a set on its model. With init="zero_up", up = 0 makes every SNIP score 0: attach with init="normal",
            or train some steps first, so that both factors are non-zero.
        method: a criterion (`sparsity.criteria`; `register_criterion` adds one), or "er" or "erk": random, with
            densities by shape (`budgets.raw_density`), which for adapters of one shape is uniform.
        sparsity: the fraction removed. (The flag of this name in the released code of SparseAdapter means the density.)
        density: the fraction kept, 1 - sparsity: give one of the two.
        batches: data for "snip" and "grasp".
        loss_fn: `loss_fn(model, batch)` -> scalar, for the same.
        scope: "global" ranks all weights together, "local" those of each tensor by themselves.
        rounds: scores are taken again after each. None is 100 for "synflow", as in its paper, and 1 for the others.
        schedule: how fast weights go over the rounds.
        shuffle_within_layer: keep only how many entries each layer has, and draw which: the control for any criterion
            (Frankle et al., arXiv 2009.08576).
        generator: for what is random.
        granularity: "weight", or "unit": whole bottleneck units, exactly round(density r), by the sum of their scores;
            the layers become narrower, and with no unit left one without weights stays.
        faithful: the masks of the released code, with its defects: see `faithful`.

    Returns:
        What was removed, by layer, and how many scores tied at the border.

    Raises:
        ModelError: a score is not finite, or all are equal; an option that does not go with the others. Nothing is
            pruned.

    Example::

        adapters = attach(model, LoRAConfig(r=16, init="normal"))
        sparsify(adapters, method="snip", sparsity=0.5, batches=batches, loss_fn=loss)
    """
    kept = _density(sparsity, density)
    _check(method, scope, schedule, granularity, rounds, faithful)
    if rounds is None:
        rounds = 100 if method == "synflow" and not faithful else 1
    named = _prunable(adapters)
    layers = list(named.values())
    sizes = {name: layer.shape.numel() for name, layer in named.items()}
    evidence = _evidence(adapters, batches, loss_fn, generator)
    if faithful:
        ties = 0
        masks = faithful_masks(layers, evidence, method=method, density=kept, local=scope == "local", rounds=rounds)
        for layer, mask in zip(layers, masks, strict=True):
            layer.prune(mask.bool())
    else:
        candidates: Granularity = SingleWeights(layers)
        if granularity == "unit":
            candidates = BottleneckUnits(layers, evidence.pairs)
        groups = _groups(candidates, layers, method, kept, scope)
        score = criterion("random" if method in RANDOM else method)
        keep, ties = choose(
            candidates, groups, layers, lambda: score(layers, evidence), rounds=rounds, schedule=schedule
        )
        if shuffle_within_layer:
            keep = shuffled(keep, generator_of(evidence, "shuffle"))
        candidates.apply(keep)
    return describe_pruning(named, sizes, evidence.pairs, method=method, density=kept, ties=ties)


def _density(sparsity: float | None, density: float | None) -> float:
    """The fraction kept, from the one of the two that is given."""
    if (sparsity is None) == (density is None):
        given = "neither" if sparsity is None else "both"
        raise ModelError(f"give sparsity (the fraction removed) or density (the fraction kept), not {given}")
    if density is None:
        assert sparsity is not None
        _check_fraction("sparsity", sparsity, "removed")
        return 1 - sparsity
    _check_fraction("density", density, "kept")
    return density


def _check_fraction(name: str, value: float, what: str) -> None:
    if not 0 <= value <= 1:
        raise ModelError(f"{name}={value} is the fraction {what} and must lie between 0 and 1")


def _check(method: str, scope: str, schedule: str, granularity: str, rounds: int | None, faithful: bool) -> None:
    if method not in RANDOM:
        criterion(method)
    check_choice("scope", scope, get_args(Scope))
    check_choice("schedule", schedule, get_args(Schedule))
    check_choice("granularity", granularity, get_args(GranularityName))
    if rounds is not None:
        check_whole("rounds", rounds)
    if method in RANDOM and (scope == "local" or granularity == "unit" or faithful):
        raise ModelError(
            f"method={method!r} sets the densities of the weights itself, which the released code does not have: "
            "leave scope, granularity and faithful at their defaults"
        )
    if faithful and granularity == "unit":
        raise ModelError("faithful=True: the released code prunes single weights, not units")


def _prunable(adapters: AdapterSet) -> dict[str, Masked]:
    """The prunable layers by name, one that several modules share under its first name."""
    found: dict[str, Masked] = {}
    seen: set[int] = set()
    for name, layer in adapters.prunable().items():
        if id(layer) not in seen:
            seen.add(id(layer))
            found[name] = layer
    if not found:
        raise ModelError(f"{adapters.config} has no weights that can be pruned")
    return found


def _evidence(
    adapters: AdapterSet,
    batches: Iterable[object] | None,
    loss_fn: LossFunction | None,
    generator: torch.Generator | None,
) -> Evidence:
    return Evidence(
        model=adapters.model,
        pairs=pairs(adapters),
        batches=None if batches is None else list(batches),
        loss_fn=loss_fn,
        generator=generator,
    )


def _groups(candidates: Granularity, layers: list[Masked], method: str, density: float, scope: Scope) -> list[Group]:
    """What is ranked together: everything for the global scope, each part by itself else."""
    sizes = candidates.sizes
    left = candidates.left
    total = round(density * sum(sizes))
    if method not in RANDOM and scope == "global":
        return [Group(parts=range(len(sizes)), left=sum(left), keep=total)]
    if method in RANDOM:
        shapes = [layer.shape for layer in layers]
        keeps = erdos_renyi(shapes, left, total, kernel=method == "erk")
    else:
        keeps = [round(density * size) for size in sizes]
    return [Group(parts=[i], left=left[i], keep=keep) for i, keep in enumerate(keeps)]
