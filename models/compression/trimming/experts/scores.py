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
    "router",
    "router_topk",
    "frequency",
    "frequency_variance",
    "mone",
    "ean",
    "reap",
    "reap_softmax",
    "reap_renormalised",
    "random",
]
"""What ranks experts.

- "router", "router_topk": mean over all tokens of the router's softmax over all experts (Unified MoE compression, arXiv
  2406.02500, as released for Mixtral and Qwen), or of the weights of the chosen experts, 0 for others (as released for
  DeepSeek).
- "frequency": fraction of the tokens that chose the expert; "frequency_variance": that times the variance of its
  output, summed over the width.
- "mone": "router_topk" times the square root of that sum of variances (MoNE, arXiv 2507.00390, as released).
- "ean": sum of the norms of its outputs (EAN, arXiv 2504.05586).
- "reap": mean over its tokens of the gate value times the norm of its output (REAP, arXiv 2510.13999, equation 9): the
  softmax over all experts where the weights of the chosen ones come from a softmax, else the weights themselves.
  "reap_softmax" is that with the softmax for any router, as released; "reap_renormalised" with the weights divided by
  their sum over the token.
- "random": random numbers, the control of all others."""
SCORES: tuple[Score, ...] = get_args(Score)


def expert_scores(
    statistics: Sequence[LayerStatistics],
    score: Score = "reap",
    *,
    reverse: bool = False,
    generator: torch.Generator | None = None,
) -> list[Tensor]:
    """The score of each expert of each mixture: the lowest go first.

    An expert without a token scores 0 wherever a score looks at its tokens.

    Args:
        statistics: what `mixture_statistics` gave.
        score: the name of a formula.
        reverse: the best go first, the control of a score.
        generator: draws those of "random".

    Returns:
        (N,) float64 for each mixture.

    Raises:
        ModelError: an unknown score, one that needs router logits where the router gives none, and "random" without a
            generator.
    """
    check_choice("score", score, SCORES)
    if score == "random" and generator is None:
        raise ModelError("score='random' draws numbers: pass generator=torch.Generator().manual_seed(...)")
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


def _variance(layer: LayerStatistics) -> Tensor:
    """Variance of each expert's output over its tokens, summed over the width (N,)."""
    count_N1 = layer.counts.clamp_min(1).unsqueeze(1)
    variance_ND = layer.output_square / count_N1 - (layer.output / count_N1).square()
    return variance_ND.clamp_min(0).sum(1)


def _frequency_variance(layer: LayerStatistics) -> Tensor:
    return _frequency(layer) * _variance(layer)


def _mone(layer: LayerStatistics) -> Tensor:
    return _router_topk(layer) * _variance(layer).sqrt()


def _ean(layer: LayerStatistics) -> Tensor:
    return layer.norm


def _reap(layer: LayerStatistics) -> Tensor:
    if layer.softmax:
        return _of_logits(layer, layer.gated_norm, "reap") / layer.counts.clamp_min(1)
    return layer.weighted_norm / layer.counts.clamp_min(1)


def _reap_softmax(layer: LayerStatistics) -> Tensor:
    return _of_logits(layer, layer.gated_norm, "reap_softmax") / layer.counts.clamp_min(1)


def _reap_renormalised(layer: LayerStatistics) -> Tensor:
    return layer.renormalised_norm / layer.counts.clamp_min(1)


_FORMULAS: dict[str, Callable[[LayerStatistics], Tensor]] = {
    "router": _router,
    "router_topk": _router_topk,
    "frequency": _frequency,
    "frequency_variance": _frequency_variance,
    "mone": _mone,
    "ean": _ean,
    "reap": _reap,
    "reap_softmax": _reap_softmax,
    "reap_renormalised": _reap_renormalised,
}
