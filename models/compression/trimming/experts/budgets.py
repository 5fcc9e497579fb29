"""Which experts stay, from their scores and from how many may: layer by layer, or over all layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor

from ....anatomy import Experts
from ....errors import ModelError, check_choice

Scope = Literal["layer", "global"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
Keep = int | float | Sequence[int]
"""Experts that stay: a number for each mixture (int, 2 or more), a fraction of each (float, above 0 and at most 1), or
one number each. A 1 alone may mean one expert or all of them, and is refused: [1, 1, ...] keeps one of each mixture."""


def kept_experts(
    experts: Sequence[Experts], scores: Sequence[Tensor], keep: Keep, *, scope: Scope = "layer", least: int = 1
) -> list[list[int]]:
    """The experts of each mixture that stay, in ascending order; of equal scores, the first stays.

    A router that chooses among groups of experts (DeepSeek) keeps equally many of each group.

    Args:
        experts: those of each mixture.
        scores: of each of them, (N,); the lowest go.
        keep: how many stay.
        scope: "layer" keeps the best of each mixture, "global" the best of all of them together, as many in total.
        least: experts that each mixture keeps in any case.

    Returns:
        Their indices, by mixture.

    Raises:
        ModelError: numbers that cannot be kept.
    """
    check_choice("scope", scope, SCOPES)
    numbers = numbers_kept(experts, keep, least)
    grouped = [one for one in experts if one.groups > 1 or one.least_in_group > 1]
    if scope == "global" and grouped:
        raise ModelError(
            f"scope='global': the router at {grouped[0].router.path} chooses among groups of experts, of each of "
            "which equally many have to stay; take scope='layer'"
        )
    if scope == "global":
        return best_of_all(scores, sum(numbers), least)
    found: list[list[int]] = []
    for one, scores_N, number in zip(experts, scores, numbers, strict=True):
        found.append(_best_of_groups(one, scores_N, number))
    return found


def numbers_kept(experts: Sequence[Experts], keep: Keep, least: int = 1) -> list[int]:
    """How many stay of each mixture, each by itself. Raises `ModelError` for numbers that cannot be kept."""
    if least < 1:
        raise ModelError(
            f"least={least}: a mixture keeps one expert or more; Layer Drop (trimming.drop_layers) takes it out whole"
        )
    for one in experts:
        if least > one.num_experts:
            raise ModelError(
                f"least={least}: the mixture with the router {one.router.path} has {one.num_experts} experts in all"
            )
    numbers = _asked([one.num_experts for one in experts], keep, least)
    for one, number in zip(experts, numbers, strict=True):
        if not least <= number <= one.num_experts:
            pointer = ""
            if number < 1:
                pointer = "; Layer Drop (trimming.drop_layers, method layer_drop) takes a whole mixture out"
            raise ModelError(
                f"keep={number}: the mixture with the router {one.router.path} has {least}..{one.num_experts} to "
                f"keep{pointer}"
            )
    return numbers


def _asked(sizes: Sequence[int], keep: Keep, least: int) -> list[int]:
    """What `keep` says of each mixture, whether that can be or not."""
    if isinstance(keep, float):
        if not 0 < keep <= 1:
            raise ModelError(f"keep={keep} as a fraction of the experts must lie in (0, 1]")
        return [max(least, round(keep * size)) for size in sizes]
    if isinstance(keep, bool) or (isinstance(keep, int) and keep == 1):
        ones = [1] * len(sizes)
        raise ModelError(
            f"keep={keep} may mean one expert of each mixture or all of them: write keep={ones} for one of each, "
            "keep=1.0 for all"
        )
    numbers = [keep] * len(sizes) if isinstance(keep, int) else list(keep)
    if len(numbers) != len(sizes):
        raise ModelError(f"keep names {len(numbers)} numbers of experts, but the model has {len(sizes)} mixtures")
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int):
            raise ModelError(f"keep={numbers}: {number!r} is no whole number of experts")
    return numbers


def _ranked(scores_N: Tensor) -> list[int]:
    return scores_N.argsort(descending=True, stable=True).tolist()


def _best_of_groups(experts: Experts, scores_N: Tensor, number: int) -> list[int]:
    groups = experts.groups
    left = number // groups
    if number % groups or left < experts.least_in_group:
        raise ModelError(
            f"keep={number}: the router at {experts.router.path} chooses among {groups} groups, of each of which "
            f"equally many have to stay, {experts.least_in_group} or more"
        )
    size = experts.num_experts // groups
    kept: list[int] = []
    for start in range(0, experts.num_experts, size):
        best = _ranked(scores_N[start : start + size])[:left]
        kept += [start + place for place in best]
    return sorted(kept)


def best_of_all(scores: Sequence[Tensor], total: int, least: int) -> list[list[int]]:
    """The best `total` experts of all mixtures, in ascending order by mixture, of each the `least` best in any case."""
    kept: list[list[int]] = []
    others: list[tuple[float, int, int]] = []
    for layer, scores_N in enumerate(scores):
        ranked = _ranked(scores_N)
        kept.append(ranked[:least])
        others += [(-scores_N[expert].item(), layer, expert) for expert in ranked[least:]]
    for _, layer, expert in sorted(others)[: total - sum(map(len, kept))]:
        kept[layer].append(expert)
    return [sorted(experts) for experts in kept]
