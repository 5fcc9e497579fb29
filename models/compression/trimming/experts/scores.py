"""How much each expert of each mixture is worth, by what it did on calibration data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from ....calibration.mixture_statistics import LayerStatistics
from ....errors import ModelError, check_choice

# Shapes: N routed experts of one mixture.

Score = Literal[
    "router", "router_topk", "frequency", "frequency_variance", "ean", "reap", "reap_renormalised", "random"
]
"""Mean over all tokens of the router's softmax over all experts (Unified MoE compression, arXiv 2406.02500, as released
for Mixtral and Qwen), or of the weights of the chosen experts, 0 for others (as released for DeepSeek); share of the
tokens that chose the expert; that share times the variance of its output, summed over the width (MoNE, arXiv
2507.00390); sum of the norms of its outputs (EAN, arXiv 2504.05586); mean over its tokens of the
softmax times the norm of its output (REAP, arXiv 2510.13999, equation 9), or of the weights divided by their sum times
that norm; random numbers, the control of all others."""
SCORES: tuple[Score, ...] = get_args(Score)


def expert_scores(
    statistics: Sequence[LayerStatistics],
    score: Score = "reap",
    *,
    reverse: bool = False,
    generator: torch.Generator | None = None,
) -> list[Tensor]:
    """The score of each expert (N,) of each mixture, float64: the lowest go first.

    An expert without a token scores 0 wherever a score looks at its tokens. `reverse` makes the best go first, the
    control of a score. `generator` draws those of "random". Raises `ModelError` for an unknown score, and for one that
    needs router logits where the router gives none.
    """
    check_choice("score", score, SCORES)
    found: list[Tensor] = []
    for layer in statistics:
        if score == "random":
            scores_N = torch.rand(layer.num_experts, generator=generator, dtype=torch.float64)
        else:
            scores_N = _FORMULAS[score](layer)
        found.append(-scores_N if reverse else scores_N)
    return found


def _of_logits(layer: LayerStatistics, value_N: Tensor | None, score: str) -> Tensor:
    if value_N is None:
        raise ModelError(
            f"score={score!r}: the router of {layer.layer} gives no logits for its experts; "
            "take 'frequency', 'ean' or 'reap_renormalised'"
        )
    return value_N


def _router(layer: LayerStatistics) -> Tensor:
    return _of_logits(layer, layer.probability, "router") / layer.tokens


def _router_topk(layer: LayerStatistics) -> Tensor:
    return layer.weight / layer.tokens


def _frequency(layer: LayerStatistics) -> Tensor:
    return layer.counts.double() / layer.tokens


def _frequency_variance(layer: LayerStatistics) -> Tensor:
    count_N1 = layer.counts.clamp_min(1).unsqueeze(1)
    variance_ND = layer.output_square / count_N1 - (layer.output / count_N1).square()
    return _frequency(layer) * variance_ND.clamp_min(0).sum(1)


def _ean(layer: LayerStatistics) -> Tensor:
    return layer.norm


def _reap(layer: LayerStatistics) -> Tensor:
    return _of_logits(layer, layer.gated_norm, "reap") / layer.counts.clamp_min(1)


def _reap_renormalised(layer: LayerStatistics) -> Tensor:
    return layer.renormalised_norm / layer.counts.clamp_min(1)


_FORMULAS: dict[str, Callable[[LayerStatistics], Tensor]] = {
    "router": _router,
    "router_topk": _router_topk,
    "frequency": _frequency,
    "frequency_variance": _frequency_variance,
    "ean": _ean,
    "reap": _reap,
    "reap_renormalised": _reap_renormalised,
}
