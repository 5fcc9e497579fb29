"""Narrower experts: each keeps the hidden neurons whose outputs are largest on the tokens that it got.

Leaving out neuron f of an expert changes its output for token t by h_tf W_down[:, f]; its score is the sum of the
squares of that over the expert's tokens, sum_t h_tf^2 |W_down[:, f]|^2. So it is Wanda's product of weight and input
norm (Sun et al., arXiv 2306.11695), for a column of the down projection as a whole. The matrices really shrink.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ....anatomy import DescribesMLP, Experts
from ....calibration.mixture_statistics import LayerStatistics
from ....errors import ModelError
from ...quantisation.files.part import packed_weights
from .mixtures import Mixture, changeable_mixtures, check_statistics
from .saved_form import WIDTH, note_trimmed

# Shapes: N experts, F hidden neurons of an expert, D width.


def neuron_scores(experts: Experts, statistics: LayerStatistics) -> list[Tensor]:
    """The score of each neuron (F,) of each expert, float64. An expert without a token scores 0 throughout.

    Raises `ModelError` for statistics without the moments of hidden neurons.
    """
    if statistics.hidden_square is None:
        raise ModelError(f"{statistics.layer}: no moments of its neurons: take mixture_statistics(..., moments=True)")
    found: list[Tensor] = []
    for expert in range(experts.num_experts):
        down_DF = experts.weights(expert).down.detach()
        square_F = statistics.hidden_square[expert, : down_DF.shape[1]]
        found.append(square_F * down_DF.double().square().sum(0).cpu())
    return found


def width_of(experts: Experts) -> int:
    """Hidden neurons of the largest expert."""
    return max(experts.weights(expert).up.shape[0] for expert in range(experts.num_experts))


def kept_neurons(scores: Sequence[Tensor], width: int, least: int = 1) -> list[Tensor]:
    """The best neurons of each expert, ascending; of equal scores the first stays.

    `width` is what is left of the largest expert; a smaller one keeps the same fraction, rounded. Raises `ModelError`
    for a width that is not one of `least` to what the largest has.
    """
    largest = max(map(len, scores))
    if isinstance(width, bool) or not isinstance(width, int) or not least <= width <= largest:
        raise ModelError(f"width={width!r} must be a whole number of {least} to {largest} neurons")
    kept: list[Tensor] = []
    for scores_F in scores:
        number = max(1, round(len(scores_F) * width / largest))
        kept.append(scores_F.argsort(descending=True, stable=True)[:number].sort().values)
    return kept


@torch.no_grad()
def narrow_experts(model: nn.Module, statistics: Sequence[LayerStatistics], widths: Mapping[int, int]) -> None:
    """Leave the experts of these blocks so many hidden neurons, in place.

    `statistics` are those of `mixture_statistics(model, batches, moments=True)` for the model as it is; `widths` has
    the index of a block and the neurons that its largest expert keeps. Raises `ModelError`, and changes nothing, for
    statistics of another model or without moments, for blocks without a mixture, for widths that cannot be, and for
    packed weights. A stock model becomes one of our registered class, which any Auto class opens.

    Example: `narrow_experts(mixtral, mixture_statistics(mixtral, batches, moments=True), {0: 7168})`.
    """
    mixtures = changeable_mixtures(model, weights=True)
    check_statistics(mixtures, statistics)
    _check_not_packed(model)
    places = {mixture.block.index: (mixture, seen) for mixture, seen in zip(mixtures, statistics, strict=True)}
    unknown = sorted(set(widths) - set(places))
    if unknown:
        raise ModelError(f"blocks {unknown} have no mixture; those with one are {sorted(places)}")
    plan: list[tuple[Mixture, list[Tensor], int]] = []
    for block, width in widths.items():
        mixture, seen = places[block]
        plan.append((mixture, kept_neurons(neuron_scores(mixture.experts, seen), width), width))
    for mixture, kept, width in plan:
        narrow(mixture, kept, width)
    note_trimmed(model)


def narrow(mixture: Mixture, kept: Sequence[Tensor], width: int) -> None:
    """Leave one mixture these neurons of each expert, and mark it if its class makes another number of them."""
    if width == width_of(mixture.experts):
        return
    mixture.experts.keep_neurons(kept)
    module = mixture.mlp.site.get()
    if not isinstance(module, DescribesMLP):
        vars(module)[WIDTH] = width


def _check_not_packed(model: nn.Module) -> None:
    packed = next(packed_weights(model), None)
    if packed is not None:
        raise ModelError(f"{packed[0]} is quantised: take neurons out before that, or `dequantise(model)` first")
