"""Which experts of a mixture become part of one dense FFN, with which constant weight, and that FFN's matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ....anatomy import ExpertWeights
from ....calibration.mixture_statistics import LayerStatistics
from ....errors import ModelError

# Shapes: N experts, F hidden neurons of all pieces together, D width.

Size = Literal["active", "total"]
Score = Literal["frequency", "conditional"]
Piece = tuple[ExpertWeights, float]
"""An FFN and the constant that its output is multiplied by."""


@dataclass(frozen=True)
class Kept:
    """The experts that stay, ascending, and their coefficients."""

    experts: tuple[int, ...]
    coefficients: tuple[float, ...]


def choose(seen: LayerStatistics, size: Size, score: Score) -> Kept:
    """The experts that stay, with their mean routing weight over all tokens, 0 where a token chose others.

    Where some go, the weights of those that stay are scaled up to the mean sum of a token's weights, so that the output
    keeps its size. The paper takes 1/K of K experts instead, which is the same where weights are equal.

    Args:
        seen: what the mixture's router did with the calibration tokens.
        size: "active": as many experts as a token chooses; "total": all.
        score: "frequency": those that most tokens chose; "conditional": those of the greatest mean weight in tokens
            that chose them (the paper's conditional probability, with the mixture's own weights).

    Raises:
        ModelError: no token was seen.
    """
    if seen.tokens == 0:
        raise ModelError(f"{seen.layer} saw no token: nothing says which experts matter")
    mean_N = seen.weight / seen.tokens
    kept = list(range(seen.num_experts))
    if size == "active":
        rank_N = seen.counts.double()
        if score == "conditional":
            rank_N = seen.weight / seen.counts.clamp_min(1)
        kept = sorted(rank_N.argsort(descending=True, stable=True)[: seen.top_k].tolist())
    mean_K = mean_N[kept]
    if float(mean_K.sum()) == 0:
        raise ModelError(f"{seen.layer}: the weights of the experts that stay sum to 0")
    coefficient_K = mean_K * (mean_N.sum() / mean_K.sum())
    return Kept(tuple(kept), tuple(coefficient_K.tolist()))


@torch.no_grad()
def joined(pieces: Sequence[Piece], width: int) -> ExpertWeights:
    """One FFN that computes the sum of the pieces, each times its constant.

    Args:
        pieces: FFNs of one kind, without biases of their down projections.
        width: hidden neurons of the result; what is left over are neurons whose weights are 0.

    Returns:
        New matrices: gate, if the pieces have one, and up (F, D), down (D, F), biases of gate and up.

    Raises:
        ModelError: a bias of a down projection, or more neurons than there is room for.
    """
    if any(weights.down_bias is not None for weights, _ in pieces):
        raise ModelError("experts with biases of their down projections cannot be one dense FFN")
    down_DF = torch.cat([weights.down * factor for weights, factor in pieces], dim=1)
    missing = width - down_DF.shape[1]
    if missing < 0:
        raise ModelError(f"{down_DF.shape[1]} neurons do not fit into {width}")
    found = [weights for weights, _ in pieces]
    up = _rows([weights.up for weights in found], missing)
    assert up is not None
    return ExpertWeights(
        gate=_rows([weights.gate for weights in found], missing),
        up=up,
        down=torch.cat((down_DF, down_DF.new_zeros(len(down_DF), missing)), dim=1),
        gate_bias=_rows([weights.gate_bias for weights in found], missing),
        up_bias=_rows([weights.up_bias for weights in found], missing),
    )


def _rows(parts: Sequence[Tensor | None], missing: int) -> Tensor | None:
    present = [part for part in parts if part is not None]
    if not present:
        return None
    if len(present) < len(parts):
        raise ModelError("some of the FFNs have a gate or bias that others lack: they cannot be one dense FFN")
    return torch.cat((*present, present[0].new_zeros(missing, *present[0].shape[1:])))
