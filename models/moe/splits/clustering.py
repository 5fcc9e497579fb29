"""k-means with bounds on the sizes of the clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import ModelError
from .assignment import assign

# Shapes: P points, D features, K clusters.

_TOLERANCE = 1e-5
"""The search ends when a step lowers the sum of squared distances by no more than this share of it."""


@dataclass(frozen=True)
class Clusters:
    """`label` (P,) int64: the cluster of each point. `centroid` (K, D): the mean of the points of each cluster."""

    label: Tensor
    centroid: Tensor

    @property
    def groups(self) -> tuple[Tensor, ...]:
        """The points of each cluster, ascending."""
        return tuple((self.label == k).nonzero().squeeze(1) for k in range(len(self.centroid)))


def balanced_kmeans(
    x_PD: Tensor,
    clusters: int,
    generator: torch.Generator,
    *,
    metric: Literal["l2", "cos"] = "l2",
    start: Tensor | None = None,
) -> Clusters:
    """`constrained_kmeans` into clusters whose sizes differ by at most 1."""
    return constrained_kmeans(
        x_PD,
        clusters,
        generator,
        smallest=len(x_PD) // clusters,
        largest=-(-len(x_PD) // clusters),
        metric=metric,
        start=start,
    )


def constrained_kmeans(
    x_PD: Tensor,
    clusters: int,
    generator: torch.Generator,
    *,
    smallest: int,
    largest: int,
    metric: Literal["l2", "cos"] = "l2",
    start: Tensor | None = None,
    iterations: int = 100,
) -> Clusters:
    """k-means in which every cluster has `smallest` to `largest` points (Bradley, Bennett and Demiriz, 2000).

    Each step assigns all points at least total squared distance under the bounds (`assignment.assign`, exact) and moves
    the centroids, until that no longer pays (`_TOLERANCE`). "cos" is "l2" on rows of unit length. Centroids start at
    the points `start` (K,), or at k-means++ draws. Points are sorted by a random projection first, so that the clusters
    do not depend on their order. Computed in float32 on the CPU (float64 stays). Raises `ModelError` when there are
    more clusters than points and when a value is not finite.
    """
    if not 1 <= clusters <= len(x_PD):
        raise ModelError(f"{len(x_PD)} points cannot form {clusters} clusters")
    x = x_PD.detach().cpu().to(torch.promote_types(x_PD.dtype, torch.float32))
    if not x.isfinite().all():
        raise ModelError("values to cluster are NaN or infinite")
    if metric == "cos":
        x = F.normalize(x, dim=1)
    order = (x @ torch.randn(x.shape[1], generator=generator, dtype=x.dtype)).argsort(stable=True)
    centroid = x[start] if start is not None else None
    x = x[order]
    if centroid is None:
        centroid = x[_plus_plus(x, clusters, generator)]
    label, centroid = _lloyd(x, centroid, smallest, largest, iterations)
    unsorted = torch.empty_like(label)
    unsorted[order] = label
    return Clusters(unsorted, centroid)


def _lloyd(x: Tensor, centroid: Tensor, smallest: int, largest: int, iterations: int) -> tuple[Tensor, Tensor]:
    clusters = len(centroid)
    lower, upper = np.full(clusters, smallest), np.full(clusters, largest)
    total = float(x.square().sum(dtype=torch.float64))
    label, prices, before = None, None, np.inf
    for _ in range(iterations):
        cost = (centroid.square().sum(1, keepdim=True) - 2 * (centroid @ x.T)).numpy()  # squared distance less |x|^2
        label, prices = assign(cost, lower, upper, prices)
        member = F.one_hot(torch.from_numpy(label), clusters).to(x.dtype)
        centroid = member.T @ x / member.sum(0).unsqueeze(1)
        inertia = total + float(cost[label, np.arange(len(x))].sum(dtype=np.float64))
        if inertia >= (1 - _TOLERANCE) * before:
            break
        before = inertia
    assert label is not None
    return torch.from_numpy(label), centroid


def _plus_plus(x: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """k-means++ (Arthur and Vassilvitskii, 2007): each next start is drawn by its squared distance to the nearest."""
    chosen = [int(torch.randint(len(x), (1,), generator=generator))]
    nearest = (x - x[chosen[0]]).square().sum(1)
    while len(chosen) < clusters:
        weight = nearest.double()
        if weight.sum() == 0:  # fewer different points than clusters
            weight = torch.ones_like(weight)
            weight[chosen] = 0
        chosen.append(int(torch.multinomial(weight, 1, generator=generator)))
        nearest = torch.minimum(nearest, (x - x[chosen[-1]]).square().sum(1))
    return torch.tensor(chosen)
