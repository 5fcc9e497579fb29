"""Clusters of calibration tokens, whose importance vectors the three splits by importance use."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...errors import ModelError
from .clustering import constrained_kmeans

if TYPE_CHECKING:
    from .base import SplitInput

# Shapes: T tokens, D width, N clusters = routed experts.

_JITTER = 0.4


def document_labels(inp: SplitInput) -> Tensor:
    """Cluster of each token (T,): k-means of the examples' embeddings, at unit length (LLaMA-MoE v1's text clusters).

    No cluster is empty. All layers get the same clusters: the draws depend on `config.seed` alone.

    Args:
        inp: the FFN and what calibration saw.

    Raises:
        ModelError: the examples of the tokens are not known, or there are fewer of them than experts.
    """
    inp.need_sample()
    if inp.document is None or inp.embedding is None:
        raise ModelError("clusters='documents' needs the document of each token: pass what calibrate() returned")
    documents = len(inp.embedding)
    clusters = inp.config.num_routed
    if documents < clusters:
        raise ModelError(
            f"clusters='documents' needs at least as many calibration examples ({documents}) as routed experts "
            f"({clusters}): pass more examples, or use clusters='tokens'"
        )
    generator = torch.Generator().manual_seed(inp.config.seed)
    found = constrained_kmeans(
        inp.embedding,
        clusters,
        generator,
        smallest=1,
        largest=documents,
        metric="cos",
        starts=inp.config.kmeans_starts,
    )
    return found.label[inp.document.cpu()]


def token_centroids(inp: SplitInput) -> Tensor:
    """Centroids (N, D) of the FFN inputs, each of a cluster within 40 % of the mean size (v2's feature clusters)."""
    x_TD = inp.need_sample().x
    clusters = inp.config.num_routed
    found = constrained_kmeans(
        x_TD,
        clusters,
        inp.generator,
        smallest=max(1, math.floor((1 - _JITTER) * len(x_TD) / clusters)),
        largest=math.ceil((1 + _JITTER) * len(x_TD) / clusters),
        metric=inp.config.metric,
        starts=inp.config.kmeans_starts,
    )
    return found.centroid


def token_labels(x_TD: Tensor, centroid_ND: Tensor) -> Tensor:
    """Cluster of each token (T,): the centroid of greatest dot product, which is where v2's router sends the token."""
    return (x_TD.detach().cpu().to(centroid_ND.dtype) @ centroid_ND.T).argmax(1)
