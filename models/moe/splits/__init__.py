"""Which neurons of an FFN form the shared block and each expert. One file for each construction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from ...errors import ModelError
from ..further_splits import FURTHER
from ..routing.kinds import router_class
from . import cluster, cmoe, coact, gradient, gradient_share, random, residual, sequential, transport, whole
from .base import Partition, SplitInput, block_sizes

__all__ = ["SPLITS", "Partition", "SplitInput", "block_sizes", "partition"]

SPLITS: dict[str, Callable[[SplitInput], Partition]] = {
    "random": random.split,
    "sequential": sequential.split,
    "cluster": cluster.split,
    "coact": coact.split,
    "gradient": gradient.split,
    "gradient_share": gradient_share.split,
    "residual": residual.split,
    "cmoe": cmoe.split,
    "transport": transport.split,
    "whole": whole.split,
}
"""The construction of each value of `MoEConfig.split`."""


def partition(inp: SplitInput, given: Partition | None = None) -> Partition:
    """Cut the neurons of one FFN as `inp.config` says, or as was decided elsewhere.

    Blocks differ in size by at most 1. They are disjoint and complete, but for "gradient_share" and for "residual" with
    `overlap`, whose experts may share neurons and miss some, and for "whole", whose experts all hold all neurons, so
    that there may be more experts than neurons. Representatives are there for routers that start from them ("glu"),
    whatever the split.

    Args:
        inp: the FFN, the configuration, and what calibration recorded of it.
        given: blocks that were decided elsewhere (learnt, say), in the place of those of `config.split`.

    Returns:
        Which neurons each expert holds, which are shared, and representatives where they are needed.

    Raises:
        ModelError: fewer neurons than blocks, a split or router that needs something that calibration did not
            record, or blocks that no mixture can have.
    """
    if inp.hidden < inp.config.num_experts and inp.config.split != "whole":
        raise ModelError(f"{inp.hidden} hidden neurons cannot form num_experts={inp.config.num_experts} blocks")
    name = inp.config.split
    if given is not None:
        parts = _checked(given, inp, "the given partition")
    else:
        parts = SPLITS[name](inp) if name in SPLITS else _further(inp)
    if router_class(inp.config.router).from_neurons and parts.representatives is None:
        parts = replace(parts, representatives=cmoe.representatives(cmoe.activity(inp), parts.experts))
    return parts


def _further(inp: SplitInput) -> Partition:
    """By a split of somebody else's. Raises `ModelError` where its blocks are none that a mixture can have."""
    name = inp.config.split
    parts = FURTHER.get(name).split(inp)
    if not isinstance(parts, Partition):
        raise ModelError(f"split={name!r} gave a {type(parts).__name__} in the place of a Partition")
    return _checked(parts, inp, f"split={name!r}")


def _checked(parts: Partition, inp: SplitInput, who: str) -> Partition:
    """The blocks as they are. Raises `ModelError` where a mixture of this configuration cannot have them."""
    if len(parts.experts) != inp.config.num_routed:
        raise ModelError(f"{who} gave {len(parts.experts)} experts, not {inp.config.num_routed}")
    if not all(map(len, parts.experts)):
        raise ModelError(f"{who} gave an expert without neurons")
    order = parts.order
    if order.dtype != torch.int64 or order.device.type != "cpu" or order.min() < 0 or order.max() >= inp.hidden:
        raise ModelError(f"{who} must give int64 indices from 0 to {inp.hidden - 1}, on the CPU")
    if len(parts.shared) != inp.shared_size:
        raise ModelError(f"{who} gave {len(parts.shared)} shared neurons, not {inp.shared_size}")
    return parts
