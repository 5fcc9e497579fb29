"""Co-activation graph split: neurons that are active on the same tokens together (after MoEfication, arXiv 2110.01786).

Nodes are neurons; an edge weighs the number of tokens on which both its ends are active: W = A A' with the mask A of
`top_activation_mask`. A partition into equal parts with the least weight cut keeps the most weight inside. Since

    sum over neurons |a_i - c|^2 = constant - sum over parts of (weight inside the part, both directions) / size,

that is balanced k-means of the rows of A, which never forms the (F, F) graph. MoEfication uses METIS for the same aim.
"""

from __future__ import annotations

from .activation_mask import top_activation_mask
from .base import Partition, SplitInput, set_apart
from .clustering import balanced_kmeans

_ACTIVE = 0.1
"""Share of the neurons that count as active on a token: gated and GELU layers have no exact zeros."""


def split(inp: SplitInput) -> Partition:
    """Balanced least cut of the co-activation graph of the neurons that are not shared."""
    sample = inp.need_sample()
    shared, rest = set_apart(inp)
    active_FT = top_activation_mask(sample.h, max(1, round(_ACTIVE * inp.hidden)))
    found = balanced_kmeans(active_FT[rest], inp.config.num_routed, inp.generator, starts=inp.config.kmeans_starts)
    return Partition(shared=shared, experts=tuple(rest[group] for group in found.groups))
