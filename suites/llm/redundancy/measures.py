"""Measures of redundancy of each mixture of a model, by what it does on calibration data and by its weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.calibration.mixture_statistics import LayerStatistics
from sparsebench.models.compression.trimming.experts.mixtures import Mixture, mixtures_of
from sparsebench.models.compression.trimming.experts.scores import expert_scores
from sparsebench.models.moe.routing.health import LayerHealth, router_health

# Shapes: N experts, D width, F hidden neurons.

Measures = dict[str, float]


def layer_measures(
    model: nn.Module, batches: Sequence[Any], statistics: Sequence[LayerStatistics], fractions: Sequence[float]
) -> dict[float, list[Measures]]:
    """The measures of each mixture of a model, none of which needs it cut.

    "token entropy", "load entropy": of the router's softmax for a token, and of the load of the experts, as fractions
    of the logarithm of their number. "load CV": coefficient of variation of the load. "output similarity": mean cosine
    between the mean outputs of two experts over all tokens. "effective rank", "stable rank": of the stacked down
    projections, as fractions of the largest rank that they can have. "REAP left", "weight left": the parts of all REAP
    scores, and of all routing weights, that belong to the experts that would go. "depth": from 0, the first mixture, to
    1. "chosen": experts of a token as a fraction of all.

    Args:
        model: a model with mixtures of experts.
        batches: calibration data.
        statistics: those of `mixture_statistics(model, batches, all_outputs=True)`.
        fractions: of the experts of a mixture that would go by REAP.

    Returns:
        By fraction, the measures by name, in the order of the mixtures.
    """
    health = router_health(model, {"calibration": batches})["calibration"]
    mixtures = mixtures_of(model)
    scores = expert_scores(statistics, "reap")
    found: dict[float, list[Measures]] = {fraction: [] for fraction in fractions}
    for place, (mixture, seen, scores_N) in enumerate(zip(mixtures, statistics, scores, strict=True)):
        own = _routing(health[mixture.path]) | _weights(mixture)
        assert seen.all_output is not None
        own["output similarity"] = mean_cosine(seen.all_output)
        own["depth"] = place / max(1, len(mixtures) - 1)
        own["chosen"] = seen.top_k / seen.num_experts
        for fraction, members in found.items():
            members.append(own | _going(seen, scores_N, fraction))
    return found


def _routing(health: LayerHealth) -> Measures:
    number = math.log(len(health.load))
    # A router without logits says nothing of tokens; its load is all that is known of it.
    token = health.entropy if health.token_entropy is None else health.token_entropy
    return {
        "token entropy": token / number,
        "load entropy": health.entropy / number,
        "load CV": math.sqrt(max(0.0, health.cv2)),
    }


def _weights(mixture: Mixture) -> Measures:
    experts = mixture.experts
    stacked = torch.cat([experts.weights(expert).down.detach().float() for expert in range(experts.num_experts)], dim=1)
    singular = torch.linalg.svdvals(stacked.double())
    return {
        "effective rank": effective_rank(singular) / len(singular),
        "stable rank": stable_rank(singular) / len(singular),
    }


def _going(seen: LayerStatistics, scores_N: Tensor, fraction: float) -> Measures:
    going = scores_N.argsort()[: round(fraction * seen.num_experts)]
    return {
        "REAP left": (scores_N[going].sum() / scores_N.sum()).item(),
        "weight left": (seen.weight[going].sum() / seen.weight.sum()).item(),
    }


def mean_cosine(rows_ND: Tensor) -> float:
    """The mean cosine between two different rows (N, D)."""
    unit_ND = torch.nn.functional.normalize(rows_ND.double(), dim=1)
    number = len(unit_ND)
    return ((unit_ND @ unit_ND.T).sum().item() - unit_ND.square().sum().item()) / (number * (number - 1))


def effective_rank(singular: Tensor) -> float:
    """The exponential of the entropy of the singular values, as fractions of their sum (Roy & Vetterli 2007)."""
    part = singular / singular.sum()
    return math.exp(-torch.special.xlogy(part, part).sum().item())


def stable_rank(singular: Tensor) -> float:
    """The sum of the squared singular values over the largest of them."""
    squares = singular.square()
    return (squares.sum() / squares.max()).item()
