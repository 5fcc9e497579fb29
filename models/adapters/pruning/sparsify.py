"""Pruning of adapters at initialisation: SparseAdapter (He et al., arXiv 2210.04284)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args

import torch

from ...errors import ModelError, check_choice
from ...sparsity.bottleneck_units import pairs
from ...sparsity.budgets import Schedule, erdos_renyi
from ...sparsity.criteria import CRITERIA, Evidence, LossFunction, generator_of
from ...sparsity.granularity import Candidates, Entries, Units
from ...sparsity.masked import Masked
from ...sparsity.selection import Group, choose, shuffled
from ..adapter_set import AdapterSet
from .faithful import faithful_masks
from .report import Report, describe_pruning

RANDOM = ("er", "erk")  # random scores, densities by shape
METHODS = (*CRITERIA, *RANDOM)
Scope = Literal["global", "local"]
Granularity = Literal["weight", "unit"]


def sparsify(
    adapters: AdapterSet,
    *,
    method: str = "snip",
    sparsity: float | None = None,
    density: float | None = None,
    batches: Iterable[Any] | None = None,
    loss_fn: LossFunction | None = None,
    scope: Scope = "global",
    rounds: int | None = None,
    schedule: Schedule = "exponential",
    shuffle_within_layer: bool = False,
    generator: torch.Generator | None = None,
    granularity: Granularity = "weight",
    faithful: bool = False,
) -> Report:
    """Remove adapter weights of lowest score; biases, norms and the head stay. Make the optimizer afterwards.

    `sparsity` is the fraction removed, `density` = 1 - sparsity the fraction kept: give one. (The flag `--sparsity` of
    the released code means the density.) Exactly round(density N) of N weights stay, for scope="local" of every weight
    tensor; equal scores are ranked by position. What was removed before stays removed, and N counts it.

    `method`: see `criteria`; "er" and "erk" are random with densities by shape (`densities.raw_density`), which for
    adapters of one shape is uniform. `batches` and `loss_fn(model, batch)` -> scalar: for "snip" and "grasp", scored in
    eval mode; no gradients stay. `generator` (`torch.Generator`): for what is random.

    `rounds`: scores are taken anew after each; None is 100 for "synflow", as in its paper, and 1 for the others.
    `shuffle_within_layer` keeps only how many entries each layer has and draws which: the control for any criterion
    (Frankle et al., arXiv 2009.08576). `granularity="unit"` keeps whole bottleneck units, exactly round(density r), by
    the sum of their scores, and makes the layers narrower; with none left, one unit without weights stays.
    `faithful=True` gives the masks of the released code, with its defects: see `faithful`.

    Raises `ModelError`, and prunes nothing, when a score is not finite or all are equal. With init="zero_up", up = 0
    makes every SNIP score 0: attach with init="normal", or train some steps first, so that both factors are non-zero.
    """
    kept = _density(sparsity, density)
    _check(method, scope, schedule, granularity, rounds, faithful)
    if rounds is None:
        rounds = 100 if method == "synflow" and not faithful else 1
    layers, evidence = _targets(adapters), _evidence(adapters, batches, loss_fn, generator)
    members, sizes = list(layers.values()), {name: layer.shape.numel() for name, layer in layers.items()}
    ties = 0
    if faithful:
        masks = faithful_masks(members, evidence, method=method, density=kept, local=scope == "local", rounds=rounds)
        for layer, mask in zip(members, masks, strict=True):
            layer.prune(mask.bool())
    else:
        candidates = Units(members, evidence.pairs) if granularity == "unit" else Entries(members)
        groups = _groups(candidates, members, method, kept, scope)
        score = CRITERIA["random" if method in RANDOM else method]
        keep, ties = choose(
            candidates, groups, members, lambda: score(members, evidence), rounds=rounds, schedule=schedule
        )
        candidates.apply(shuffled(keep, generator_of(evidence, "shuffle")) if shuffle_within_layer else keep)
    return describe_pruning(layers, sizes, evidence.pairs, method=method, density=kept, ties=ties)


def _density(sparsity: float | None, density: float | None) -> float:
    given = {name: value for name, value in (("sparsity", sparsity), ("density", density)) if value is not None}
    if len(given) != 1:
        raise ModelError(
            f"give sparsity (the fraction removed) or density (the fraction kept), not {'both' if given else 'neither'}"
        )
    ((name, value),) = given.items()
    if not 0 <= value <= 1:
        what = "removed" if name == "sparsity" else "kept"
        raise ModelError(f"{name}={value} is the fraction {what} and must lie between 0 and 1")
    return value if name == "density" else 1 - value


def _check(method: str, scope: str, schedule: str, granularity: str, rounds: int | None, faithful: bool) -> None:
    check_choice("method", method, METHODS)
    check_choice("scope", scope, get_args(Scope))
    check_choice("schedule", schedule, get_args(Schedule))
    check_choice("granularity", granularity, get_args(Granularity))
    if rounds is not None and (not isinstance(rounds, int) or rounds < 1):
        raise ModelError(f"rounds={rounds!r} must be a whole number, at least 1")
    if method in RANDOM and (scope == "local" or granularity == "unit" or faithful):
        raise ModelError(
            f"method={method!r} sets the densities of the weights itself, which the released code does not have: "
            "leave scope, granularity and faithful at their defaults"
        )
    if faithful and granularity == "unit":
        raise ModelError("faithful=True: the released code prunes single weights, not units")


def _targets(adapters: AdapterSet) -> dict[str, Masked]:
    """The prunable layers by name, each once."""
    found = {id(layer): (name, layer) for name, layer in reversed(adapters.prunable().items())}
    if not found:
        raise ModelError(f"{adapters.config} has no weights that can be pruned")
    return dict(reversed(found.values()))


def _evidence(
    adapters: AdapterSet,
    batches: Iterable[Any] | None,
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


def _groups(candidates: Candidates, layers: list[Masked], method: str, density: float, scope: Scope) -> list[Group]:
    sizes, left = candidates.sizes, candidates.left
    if method in RANDOM:
        keeps = erdos_renyi(
            [layer.shape for layer in layers], left, round(density * sum(sizes)), kernel=method == "erk"
        )
    elif scope == "local":
        keeps = [round(density * size) for size in sizes]
    else:
        return [Group(parts=range(len(sizes)), left=sum(left), keep=round(density * sum(sizes)))]
    return [Group(parts=[i], left=left[i], keep=keep) for i, keep in enumerate(keeps)]
