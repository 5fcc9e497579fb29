"""Merging of experts, the rival of dropping them: fewer experts, each the mean of some; the router stays as it was.

Every row of the router stands for the merged expert that its own one is in (HC-SMoE, arXiv 2410.08589; MC-SMoE's first
step, M-SMoE, arXiv 2310.01334). No training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ....anatomy import Experts, ExpertWeights
from ....calibration.mixture_statistics import LayerStatistics
from ....counting import stored_bytes
from ....errors import ModelError, check_choice, optional
from .budgets import SCOPES, Keep, Scope, best_of_all, numbers_kept
from .mixtures import changeable_mixtures, check_statistics
from .remapped import check_remap, remap
from .saved_form import note_trimmed

# Shapes: N experts, D width, or how many numbers describe an expert, F hidden neurons of an expert.

Grouping = Literal["outputs", "router"]
"""Hierarchical clustering of mean outputs (HC-SMoE), or the busiest experts and those whose router logits are most
similar to theirs, with neurons put in the order of the busiest one's before the mean (M-SMoE)."""


@dataclass(frozen=True)
class MergeReport:
    """The groups of experts of each mixture that became one, by its name, and the bytes of the model's tensors."""

    groups: dict[str, tuple[tuple[int, ...], ...]]
    bytes_before: int
    bytes_after: int

    def __repr__(self) -> str:
        """One line, however many mixtures there are."""
        before = sum(len(group) for groups in self.groups.values() for group in groups)
        after = sum(map(len, self.groups.values()))
        sizes = f"{self.bytes_before:,} -> {self.bytes_after:,} bytes"
        return f"MergeReport({before} experts of {len(self.groups)} mixtures merged into {after}; {sizes})"

    def _repr_html_(self) -> str:
        """What a notebook shows: that line, and the groups of each mixture."""
        with optional():
            import pandas

        rows = [
            {"mixture": name, "experts": sum(map(len, groups)), "left": len(groups), "groups": groups}
            for name, groups in self.groups.items()
        ]
        return f"<p>{escape(repr(self))}</p>{pandas.DataFrame(rows).to_html(max_rows=20, index=False)}"


def merge_similar(
    model: nn.Module,
    statistics: Sequence[LayerStatistics],
    keep: Keep,
    *,
    grouping: Grouping = "outputs",
    scope: Scope | None = None,
) -> MergeReport:
    """Merge the experts of each mixture until few enough are left, in place.

    The mean of a group is weighted by how many tokens chose each (by 1 each where nobody did).

    Args:
        model: a model with mixtures of experts, all of one size within a mixture.
        statistics: what `mixture_statistics` saw in the model as it is, for grouping "outputs" with `all_outputs=True`.
        keep: experts that are left: a number of each mixture (int), a fraction of each (float), or one number for each.
        grouping: "outputs" is HC-SMoE's (mean outputs), "router" M-SMoE's (router logits).
        scope: "layer", or "global", which leaves as many groups in all, and a mixture as many as it has experts among
            the busiest of all mixtures (by the fraction of its choices that each got), one in any case. None is each
            paper's: "global" for M-SMoE (arXiv 2310.01334, section 3.2) unless `keep` names a number for each mixture,
            "layer" for HC-SMoE.

    Returns:
        The groups that became one expert, by mixture, and the bytes of the model before and after.

    Raises:
        ModelError: statistics of another model or without what is needed, numbers that cannot be, experts of different
            sizes or with adapters, and a router that already knows of more experts than there are. Nothing changes.

    Example: `merge_similar(mixtral, mixture_statistics(mixtral, batches, all_outputs=True), keep=6)`.
    """
    check_choice("grouping", grouping, get_args(Grouping))
    mixtures = changeable_mixtures(model, weights=True)
    check_statistics(mixtures, statistics)
    experts = [check_remap(mixture.mlp) for mixture in mixtures]
    if scope is None:
        scope = "global" if grouping == "router" and isinstance(keep, int | float) else "layer"
    numbers = _numbers(experts, statistics, keep, scope)
    found = [_groups(layer, number, grouping) for layer, number in zip(statistics, numbers, strict=True)]
    for one in experts:
        _check_alike(one)
    before = stored_bytes(model)
    for mixture, layer, groups in zip(mixtures, statistics, found, strict=True):
        if len(groups) == mixture.experts.num_experts:
            continue
        for group in groups:
            _merge(mixture.experts, group, layer.counts, align=grouping == "router")
        targets = [0] * mixture.experts.num_experts
        for place, group in enumerate(groups):
            for expert in group:
                targets[expert] = place
        remap(mixture.mlp, [group[0] for group in groups], targets)
    note_trimmed(model)
    named = {layer.layer: tuple(map(tuple, groups)) for layer, groups in zip(statistics, found, strict=True)}
    return MergeReport(named, before, stored_bytes(model))


def _numbers(experts: Sequence[Experts], statistics: Sequence[LayerStatistics], keep: Keep, scope: Scope) -> list[int]:
    """How many are left of each mixture. Groups of a router may be left unequal: its rows stay."""
    check_choice("scope", scope, SCOPES)
    numbers = numbers_kept(experts, keep)
    if scope == "layer":
        return numbers
    usage = [layer.counts.double() / layer.counts.sum().clamp_min(1) for layer in statistics]
    return [len(kept) for kept in best_of_all(usage, sum(numbers), least=1)]


def _groups(layer: LayerStatistics, number: int, grouping: Grouping) -> list[list[int]]:
    if grouping == "outputs":
        if layer.all_output is None:
            raise ModelError("grouping='outputs' needs mixture_statistics(..., all_outputs=True)")
        return average_linkage(layer.all_output / layer.tokens, number)
    if layer.logit_products is None:
        raise ModelError(f"grouping='router': the router of {layer.layer} gives no logits; take grouping='outputs'")
    return around_the_busiest(cosine(layer.logit_products), layer.counts, number)


def _check_alike(experts: Experts) -> None:
    shapes = {tuple(experts.weights(expert).down.shape) for expert in range(experts.num_experts)}
    if len(shapes) > 1:
        raise ModelError(
            f"the experts at {experts.router.path} have different sizes {sorted(shapes)}: they have no mean"
        )


@torch.no_grad()
def _merge(experts: Experts, group: Sequence[int], counts_N: Tensor, *, align: bool) -> None:
    """Write the mean of a group into its first expert."""
    if len(group) == 1:
        return
    fraction = counts_N[list(group)].double()
    if fraction.sum() == 0:
        fraction = torch.ones_like(fraction)
    fraction = fraction / fraction.sum()
    first = experts.weights(group[0])
    sums = [_zeros_like(value) for value in first]
    for expert, factor in zip(group, fraction.tolist(), strict=True):
        weights = experts.weights(expert)
        if align:
            weights = aligned(weights, first)
        for total, value in zip(sums, weights, strict=True):
            if total is not None and value is not None:
                total += factor * value.double()
    experts.set_weights(group[0], ExpertWeights(*sums))  # type: ignore[arg-type]


def _zeros_like(value: Tensor | None) -> Tensor | None:
    return None if value is None else torch.zeros_like(value, dtype=torch.float64)


def aligned(weights: ExpertWeights, other: ExpertWeights) -> ExpertWeights:
    """An expert with its hidden neurons in the order in which they fit those of another best; it computes the same.

    The order that maximises the sum of the products of all weights of matched neurons (weight matching, Ainsworth et
    al., arXiv 2209.04836, as in MC-SMoE).
    """
    with optional():
        from scipy.optimize import linear_sum_assignment

    likeness_FF = _rows(other) @ _rows(weights).T
    _, order = linear_sum_assignment(likeness_FF.cpu().numpy(), maximize=True)
    order_F = torch.from_numpy(order).to(weights.up.device)
    return ExpertWeights(
        gate=None if weights.gate is None else weights.gate[order_F],
        up=weights.up[order_F],
        down=weights.down[:, order_F],
        gate_bias=None if weights.gate_bias is None else weights.gate_bias[order_F],
        up_bias=None if weights.up_bias is None else weights.up_bias[order_F],
        down_bias=weights.down_bias,
    )


def _rows(weights: ExpertWeights) -> Tensor:
    """All weights of each hidden neuron, (F, 2D or 3D), float64."""
    inward = [weights.up] if weights.gate is None else [weights.gate, weights.up]
    return torch.cat([*inward, weights.down.T], dim=1).double()


def average_linkage(features_ND: Tensor, clusters: int) -> list[list[int]]:
    """Groups of experts, each in ascending order: the two nearest groups join until `clusters` remain.

    The distance of two groups is the mean Euclidean distance of their members (HC-SMoE, arXiv 2410.08589, section 3.2).
    """
    # From differences: products would lose the digits by which similar experts differ.
    distance_NN = torch.cdist(features_ND, features_ND, compute_mode="donot_use_mm_for_euclid_dist")
    groups = [[expert] for expert in range(len(features_ND))]
    distance_NN.fill_diagonal_(torch.inf)
    while len(groups) > clusters:
        first, second = divmod(int(distance_NN.argmin()), len(groups))
        first, second = sorted((first, second))
        sizes = (len(groups[first]), len(groups[second]))
        # The mean over all pairs of members, from the means of the two (Lance and Williams).
        joined_N = (sizes[0] * distance_NN[first] + sizes[1] * distance_NN[second]) / sum(sizes)
        distance_NN[first] = joined_N
        distance_NN[:, first] = joined_N
        distance_NN[first, first] = torch.inf
        left = [place for place in range(len(groups)) if place != second]
        distance_NN = distance_NN[left][:, left]
        groups[first] = sorted(groups[first] + groups[second])
        del groups[second]
    return groups


def around_the_busiest(similarity_NN: Tensor, counts_N: Tensor, clusters: int) -> list[list[int]]:
    """Groups of experts, the busiest first in each: every other expert joins the busy one that is most similar.

    The `clusters` busiest are those with most tokens (MC-SMoE, arXiv 2310.01334, section 3.2).
    """
    order = counts_N.argsort(descending=True, stable=True).tolist()
    busiest = sorted(order[:clusters])
    groups = {expert: [expert] for expert in busiest}
    for expert in sorted(order[clusters:]):
        nearest = busiest[int(similarity_NN[expert, busiest].argmax())]
        groups[nearest].append(expert)
    return list(groups.values())


def cosine(products_NN: Tensor) -> Tensor:
    """Cosine similarities from the products of all pairs; 0 where a vector is 0."""
    norm_N = products_NN.diagonal().clamp_min(0).sqrt()
    scale_NN = torch.outer(norm_N, norm_N)
    return torch.where(scale_NN > 0, products_NN / scale_NN.clamp_min(torch.finfo(products_NN.dtype).tiny), 0)
