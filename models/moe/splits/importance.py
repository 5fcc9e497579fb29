"""How much each hidden neuron matters, over all tokens or over each cluster of them."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ...calibration.hooks import FFNSample
from ...errors import ModelError

# Shapes: T tokens, F hidden neurons, D width, K clusters.

_CHUNK = 1024  # tokens at a time


def importance(sample: FFNSample, down_DF: Tensor, kind: Literal["activation", "gradient"]) -> Tensor:
    """Importance of each neuron (F,), float32 or better: the row of `cluster_importance` for one cluster of all."""
    return cluster_importance(sample, down_DF, kind, torch.zeros(len(sample.h), dtype=torch.int64), 1)[0]


def cluster_importance(
    sample: FFNSample, down_DF: Tensor, kind: Literal["activation", "gradient"], label_T: Tensor, clusters: int
) -> Tensor:
    """Importance of each neuron to each cluster of tokens (K, F), float32 or better, on the CPU.

    "activation": mean over the tokens of |h_i| ||W_down[:, i]||, what the neuron adds to the output, in norm.
    "gradient": mean of |h_i dL/dh_i|, the loss's first-order change without the neuron (arXiv 2406.16554, section 3.1),
    over the tokens on which the loss depends: the last token of a text has no next one. A cluster without tokens gets
    the mean over all of them. Raises `ModelError` when gradients are wanted and were not recorded.
    """
    if kind == "gradient" and sample.dh is None:
        raise ModelError(
            "importance='gradient' needs gradients: pass calibrate(model, batches, gradients=True), "
            "or use importance='activation'"
        )
    counts_K, totals_KF = _sums(sample, kind, label_T.cpu(), clusters)
    means_KF = totals_KF / counts_K.clamp_min(1).unsqueeze(1)
    mean_F = totals_KF.sum(0) / counts_K.sum().clamp_min(1)
    values_KF = torch.where(counts_K.unsqueeze(1) > 0, means_KF, mean_F)
    if kind == "gradient":
        return values_KF
    return values_KF * down_DF.detach().cpu().to(values_KF.dtype).norm(dim=0)


def _sums(sample: FFNSample, kind: str, label_T: Tensor, clusters: int) -> tuple[Tensor, Tensor]:
    """Tokens (K,) and summed magnitudes (K, F) of each cluster."""
    dtype = torch.promote_types(sample.h.dtype, torch.float32)
    counts = torch.zeros(clusters, dtype=dtype)
    totals = torch.zeros(clusters, sample.h.shape[1], dtype=dtype)
    for start in range(0, len(sample.h), _CHUNK):
        rows = slice(start, start + _CHUNK)
        size = sample.h[rows].cpu().to(dtype)
        member = F.one_hot(label_T[rows], clusters).to(dtype)
        if kind == "gradient":
            assert sample.dh is not None
            slope = sample.dh[rows].cpu().to(dtype)
            # A token on which no loss depends counts in no cluster.
            member = member * slope.any(dim=1, keepdim=True)
            size = size * slope
        counts += member.sum(0)
        totals += member.T @ size.abs()
    return counts, totals
