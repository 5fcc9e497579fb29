"""Which experts are merged with which: hierarchical clustering of what they give, or groups around the busiest ones."""

from __future__ import annotations

import torch
from torch import Tensor

# Shapes: N experts, D numbers that describe one.


def average_linkage(features_ND: Tensor, clusters: int) -> list[list[int]]:
    """Groups of experts, each in ascending order: the two nearest groups join until `clusters` remain.

    The distance of two groups is the mean Euclidean distance of their members (HC-SMoE, arXiv 2410.08589, section 3.2).
    """
    distance_NN = torch.cdist(features_ND, features_ND, compute_mode="donot_use_mm_for_euclid_dist")
    groups = [[expert] for expert in range(len(features_ND))]
    distance_NN.fill_diagonal_(torch.inf)
    while len(groups) > clusters:
        first, second = divmod(int(distance_NN.argmin()), len(groups))
        first, second = sorted((first, second))
        sizes = (len(groups[first]), len(groups[second]))
        # The mean over all pairs of members, from the means of the two (Lance and Williams).
        joined_N = (sizes[0] * distance_NN[first] + sizes[1] * distance_NN[second]) / sum(sizes)
        distance_NN[first] = joined_N
        distance_NN[:, first] = joined_N
        distance_NN[first, first] = torch.inf
        left = [place for place in range(len(groups)) if place != second]
        distance_NN = distance_NN[left][:, left]
        groups[first] = sorted(groups[first] + groups[second])
        del groups[second]
    return groups


def around_the_busiest(similarity_NN: Tensor, counts_N: Tensor, clusters: int) -> list[list[int]]:
    """Groups of experts, the busiest first in each: every other expert joins the busy one that is most similar.

    The `clusters` busiest are those with most tokens (MC-SMoE, arXiv 2310.01334, section 3.2).
    """
    order = counts_N.argsort(descending=True, stable=True).tolist()
    busiest = sorted(order[:clusters])
    groups = {expert: [expert] for expert in busiest}
    for expert in sorted(order[clusters:]):
        nearest = busiest[int(similarity_NN[expert, busiest].argmax())]
        groups[nearest].append(expert)
    return list(groups.values())


def cosine(products_NN: Tensor) -> Tensor:
    """Cosine similarities from the products of all pairs; 0 where a vector is 0."""
    norm_N = products_NN.diagonal().clamp_min(0).sqrt()
    scale_NN = torch.outer(norm_N, norm_N)
    return torch.where(scale_NN > 0, products_NN / scale_NN.clamp_min(torch.finfo(products_NN.dtype).tiny), 0)
