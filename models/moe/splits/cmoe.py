"""The training-free construction of CMoE (arXiv 2502.04416)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .activation_mask import top_activation_mask
from .base import Partition, SplitInput, ranked
from .clustering import balanced_kmeans

ACTIVE = 10
"""Neurons that count as active on a token: those of greatest |h| (K_a of the paper)."""


def split(inp: SplitInput) -> Partition:
    """Shared neurons are those active most often; the others are grouped by the tokens they are active on.

    The grouping is balanced k-means of the rows of the activation mask (F, T), from the routed neurons that are active
    most often.
    """
    active_FT = activity(inp)
    order = ranked(active_FT.mean(1))
    shared = order[: inp.shared_size].sort().values
    rest = order[inp.shared_size :]
    count = inp.config.num_routed
    found = balanced_kmeans(active_FT[rest], count, inp.generator, start=torch.arange(count))
    experts = tuple(rest[group].sort().values for group in found.groups)
    return Partition(shared=shared, experts=experts, representatives=representatives(active_FT, experts))


def activity(inp: SplitInput) -> Tensor:
    """Which neurons are active on which tokens, (F, T) float32 of 0 and 1.

    As in the released code, h is computed from inputs and rows of unit length: otherwise neurons of long rows would be
    active on every token.
    """
    x_TD = F.normalize(inp.need_sample().x, dim=1)
    return top_activation_mask(inp.neurons.unit().hidden(x_TD), ACTIVE)


def representatives(active_FT: Tensor, experts: tuple[Tensor, ...]) -> Tensor:
    """The neuron of each expert whose row of the mask lies nearest to the mean of its rows, (N,) int64.

    Of equals that with the lowest index.
    """
    chosen = []
    for neurons in experts:
        active = active_FT[neurons]
        chosen.append(neurons[(active - active.mean(0)).square().sum(1).argmin()])
    return torch.stack(chosen)
