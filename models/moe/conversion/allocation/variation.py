"""Shared blocks by how unevenly a layer's neurons are active: the rule of ExpertWeaver, at a given total."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....anatomy import describe
from ....calibration.ffn_samples import Calibration
from ....errors import ModelError
from ..dense_ffn import DenseFFN
from ..preconditions import feed_forwards

# Shapes: L layers, T tokens, F hidden neurons, C examples of the calibration data.


@torch.no_grad()
def specialised(model: nn.Module, calibration: Calibration, threshold: float = 0.6) -> list[float]:
    """The fraction of each FFN's neurons whose coefficient of variation over the examples lies above a threshold.

    CV_i = std(a_i) / mean(a_i), with a_i of an example the mean over its tokens of |act(W_gate x)_i| (without a gate,
    |act(W_up x)_i|): ExpertWeaver, arXiv 2602.15521, equations 3 and 4, whose tasks are the examples here.

    Args:
        model: a dense model.
        calibration: what `calibrate` returned of it, of two examples or more.
        threshold: the paper's is 0.6.

    Returns:
        A number from 0 to 1 for each FFN, in order.

    Raises:
        ModelError: fewer than two examples.
    """
    document_T = calibration.document
    examples = document_T.unique()
    if len(examples) < 2:
        raise ModelError("variation is over examples: the calibration data must hold two or more")
    found = []
    for ffn, sample in zip(feed_forwards(describe(model)), calibration.samples, strict=True):
        size_TF = _sizes(ffn.dense, sample.x)
        mean_CF = torch.stack([size_TF[document_T == example].mean(0) for example in examples])
        cv_F = mean_CF.std(0, correction=0) / mean_CF.mean(0).clamp_min(torch.finfo(torch.float32).tiny)
        found.append(float((cv_F > threshold).float().mean()))
    return found


def by_variation(
    fractions: Sequence[float], *, blocks: int, shared: int, most: int, lowest: float = 0.2, highest: float = 0.7
) -> tuple[int, ...]:
    """Shared blocks of each layer: the more specialised its neurons, the fewer, at `shared` in the mean.

    The paper's shared fraction is highest - (highest - lowest) r for a layer of specialised fraction r (equation 5).
    Here only its differences between layers count: what all layers would have more or less than `shared` is taken off,
    so that rows of one budget compare. Rounded by greatest remainder.

    Args:
        fractions: what `specialised` gave, L numbers.
        blocks: blocks of a layer, the paper's 64 experts.
        shared: blocks that are shared in the mean over layers.
        most: of one layer.
        lowest: the paper's shared fraction of a layer whose neurons are all specialised.
        highest: that of one where none is.

    Returns:
        L numbers from 0 to `most` with the sum L * shared; all are `shared` where all fractions are equal.

    Raises:
        ModelError: more shared blocks than there may be.
    """
    mean = sum(fractions) / len(fractions)
    wanted = [shared + blocks * (highest - lowest) * (mean - fraction) for fraction in fractions]
    return apportioned(wanted, shared * len(fractions), most)


def apportioned(wanted: Sequence[float], total: int, most: int) -> tuple[int, ...]:
    """Whole numbers from 0 to `most` of this sum, near those that are wanted; of equals the first gets more.

    Args:
        wanted: any numbers.
        total: the sum.
        most: the greatest that one may be.

    Raises:
        ModelError: a sum that cannot be reached.
    """
    if not 0 <= total <= most * len(wanted):
        raise ModelError(f"{len(wanted)} numbers from 0 to {most} cannot have the sum {total}")
    found = [min(most, max(0, round(value))) for value in wanted]
    while sum(found) < total:
        place = max((p for p in range(len(found)) if found[p] < most), key=lambda p: wanted[p] - found[p])
        found[place] += 1
    while sum(found) > total:
        place = min((p for p in range(len(found)) if found[p] > 0), key=lambda p: (wanted[p] - found[p], -p))
        found[place] -= 1
    return tuple(found)


def _sizes(dense: DenseFFN, x_TD: Tensor) -> Tensor:
    """|act| of each neuron (T, F) in float32."""
    weight, bias = (dense.up, dense.up_bias) if dense.gate is None else (dense.gate, dense.gate_bias)
    return dense.activation(F.linear(x_TD.to(weight), weight, bias)).abs().float()
