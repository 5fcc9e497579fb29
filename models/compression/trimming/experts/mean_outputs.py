"""Experts replaced by their mean output (MoNE, arXiv 2507.00390): a constant instead of a network.

The router stays as it was; tokens that choose a replaced expert get, times its weight, what it gave on average for the
calibration tokens that chose it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ....calibration.mixture_statistics import LayerStatistics
from ....counting import stored_bytes
from .budgets import Keep, Scope, kept_experts
from .drop import DroppedExperts, ExpertDropReport
from .mixtures import Mixture, changeable_mixtures, check_statistics
from .remapped import NONE, check_remap, remap
from .saved_form import note_trimmed
from .scores import Score, expert_scores


def replace_by_mean(
    model: nn.Module,
    statistics: Sequence[LayerStatistics],
    keep: Keep,
    *,
    score: Score = "mone",
    scope: Scope = "layer",
    reverse: bool = False,
    least: int = 1,
    generator: torch.Generator | None = None,
) -> ExpertDropReport:
    """Replace all but the best experts of each mixture by their mean outputs, in place.

    An expert that no calibration token chose becomes 0, and is among the `unseen` of the report. By default the score
    and the scope are those of the paper's main rows, as its code was released.

    Args:
        model: a model with mixtures of experts.
        statistics: what `mixture_statistics` saw in the model as it is.
        keep: experts that stay, as in `expert_drop`.
        score: a formula of `expert_scores`; the lowest are replaced.
        scope: "layer" keeps the best of each mixture, "global" the best of all together, as many in total.
        reverse: the best are replaced, which is the control of a score.
        least: experts that each mixture keeps in any case.
        generator: draws the scores of "random".

    Returns:
        Which experts of each mixture stayed, and the bytes of the model before and after.

    Raises:
        ModelError: what `expert_drop` refuses, and a router that already knows of more experts than there are. Nothing
            changes.

    Example: `replace_by_mean(mixtral, mixture_statistics(mixtral, batches), keep=6)`.
    """
    mixtures = changeable_mixtures(model)
    check_statistics(mixtures, statistics)
    experts = [check_remap(mixture.mlp) for mixture in mixtures]
    scores = expert_scores(statistics, score, reverse=reverse, generator=generator)
    kept = kept_experts(experts, scores, keep, scope=scope, least=least)
    before = stored_bytes(model)
    layers: list[DroppedExperts] = []
    for mixture, indices, seen in zip(mixtures, kept, statistics, strict=True):
        layers.append(_replace(mixture, indices, seen))
    note_trimmed(model)
    return ExpertDropReport(tuple(layers), before, stored_bytes(model))


def _replace(mixture: Mixture, kept: Sequence[int], seen: LayerStatistics) -> DroppedExperts:
    number = mixture.experts.num_experts
    found = DroppedExperts.of(seen, kept)
    if found.dropped:
        mean_ND = seen.output / seen.counts.clamp_min(1).unsqueeze(1)
        down = mixture.experts.weights(0).down
        targets = [0] * number
        for place, expert in enumerate(kept):
            targets[expert] = place
        for place, expert in enumerate(found.dropped):
            targets[expert] = NONE - 1 - place
        remap(mixture.mlp, kept, targets, mean_ND[list(found.dropped)].to(down.device, down.dtype))
    return found
