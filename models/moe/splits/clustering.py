"""k-means with bounds on the sizes of the clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import ModelError
from .assignment import assign

# Shapes: P points, D features, K clusters.

_TOLERANCE = 1e-5
"""The search ends when a step lowers the sum of squared distances by no more than this fraction of it."""


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
    starts: int = 1,
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
        starts=starts,
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
    starts: int = 1,
    iterations: int = 100,
) -> Clusters:
    """k-means in which every cluster has `smallest` to `largest` points (Bradley, Bennett and Demiriz, 2000).

    Each step assigns all points at least total squared distance under the bounds (`assignment.assign`, exact) and moves
    the centroids, until that no longer pays (`_TOLERANCE`). "cos" is "l2" on rows of unit length. Centroids start at
    the points `start` (K,), or at k-means++ draws: the best of `starts` runs from different ones, by the sum of squared
    distances. Points are sorted by a random projection first, so that the clusters do not depend on their order.
    Computed in float32 on the CPU (float64 stays). Raises `ModelError` when there are more clusters than points and
    when a value is not finite.
    """
    if not 1 <= clusters <= len(x_PD):
        raise ModelError(f"{len(x_PD)} points cannot form {clusters} clusters")
    x_PD = x_PD.detach().cpu().to(torch.promote_types(x_PD.dtype, torch.float32))
    if not x_PD.isfinite().all():
        raise ModelError("values to cluster are NaN or infinite")
    if metric == "cos":
        x_PD = F.normalize(x_PD, dim=1)
    projection_D = torch.randn(x_PD.shape[1], generator=generator, dtype=x_PD.dtype)
    order_P = (x_PD @ projection_D).argsort(stable=True)
    sorted_PD = x_PD[order_P]
    bounds = (np.full(clusters, smallest), np.full(clusters, largest))
    if start is not None:
        best = _lloyd(sorted_PD, x_PD[start], *bounds, iterations)
    else:
        runs = []
        for _ in range(starts):
            drawn_K = _plus_plus(sorted_PD, clusters, generator)
            runs.append(_lloyd(sorted_PD, sorted_PD[drawn_K], *bounds, iterations))
        best = min(runs, key=lambda run: run.inertia)
    label_P = torch.empty_like(best.label)
    label_P[order_P] = best.label
    return Clusters(label_P, best.centroid)


class _Run(NamedTuple):
    """Where one start ends: labels (P,), centroids (K, D), and the sum of squared distances."""

    label: Tensor
    centroid: Tensor
    inertia: float


def _lloyd(x_PD: Tensor, centroid_KD: Tensor, lower_K: np.ndarray, upper_K: np.ndarray, iterations: int) -> _Run:
    """Lloyd's steps: the cheapest assignment to the centroids, then the means of what was assigned."""
    clusters = len(centroid_KD)
    points = np.arange(len(x_PD))
    squares = float(x_PD.square().sum(dtype=torch.float64))
    label_P = points
    prices_K = None  # those of the last step: the next assignment is a similar problem
    before = np.inf
    inertia = np.inf
    for _ in range(iterations):
        # |x - c|^2 less |x|^2, which is the same for all clusters and comes back in `squares`.
        cost_KP = (centroid_KD.square().sum(1, keepdim=True) - 2 * (centroid_KD @ x_PD.T)).numpy()
        label_P, prices_K = assign(cost_KP, lower_K, upper_K, prices_K)
        member_PK = F.one_hot(torch.from_numpy(label_P), clusters).to(x_PD.dtype)
        centroid_KD = member_PK.T @ x_PD / member_PK.sum(0).unsqueeze(1)
        inertia = squares + float(cost_KP[label_P, points].sum(dtype=np.float64))
        if inertia >= (1 - _TOLERANCE) * before:
            break
        before = inertia
    return _Run(torch.from_numpy(label_P), centroid_KD, inertia)


def _plus_plus(x_PD: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """k-means++ (Arthur and Vassilvitskii, 2007): each next start is drawn by its squared distance to the nearest."""
    chosen = [int(torch.randint(len(x_PD), (1,), generator=generator))]
    nearest_P = (x_PD - x_PD[chosen[0]]).square().sum(1)
    while len(chosen) < clusters:
        weight_P = nearest_P.double()
        if weight_P.sum() == 0:  # fewer different points than clusters
            weight_P = torch.ones_like(weight_P)
            weight_P[chosen] = 0
        chosen.append(int(torch.multinomial(weight_P, 1, generator=generator)))
        nearest_P = torch.minimum(nearest_P, (x_PD - x_PD[chosen[-1]]).square().sum(1))
    return torch.tensor(chosen)
