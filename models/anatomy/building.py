"""What most describers build: a block of attention and FFN, from the names that a family has for their modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Literal

from torch import nn

from .parts import MLP, Attention, DescribesAttention, DescribesMLP
from .sites import Site, branch_sites, see_through
from .views import Block

SEPARATE: Mapping[str, str] = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "o_proj"}


def blocks_of(layers: Any, build: Callable[[Site, int], Block]) -> tuple[Block, ...]:
    """What `build(site, index)` makes of each child of a list of blocks."""
    return tuple(build(see_through(layers, str(index)), index) for index in range(len(layers)))


def staged_blocks(stages: Any, build: Callable[[Site, int], Block]) -> tuple[Block, ...]:
    """The same over stages, each with its `blocks`; numbers go on from stage to stage."""
    found: list[Block] = []
    for stage in stages:
        for name, _ in stage.blocks.named_children():
            found.append(build(see_through(stage.blocks, name), len(found)))
    return tuple(found)


def block_at(
    site: Site,
    index: int,
    attention: Attention,
    mlp: MLP,
    norms: tuple[str, ...],
    *,
    gates: tuple[Site, ...] = (),
    branches: tuple[tuple[str, ...], ...] = (),
    **fields: Any,
) -> Block:
    """A block of one attention and one FFN.

    Args:
        site: where it is.
        index: its number.
        attention: the view of its attention.
        mlp: the view of its FFN.
        norms: what it calls its norms.
        gates: linear layers that act between those of the two parts.
        branches: names for `branch_sites`, where the block is a sum of chains.
        **fields: further fields of `Block`.
    """
    return Block(
        index=index,
        site=site,
        attention=attention,
        mlp=mlp,
        norms=tuple(see_through(site.get(), name) for name in norms),
        linears=attention.linears + gates + mlp.linears,
        branches=branch_sites(site.get(), branches),
        **fields,
    )


def attention_at(
    layer: nn.Module,
    name: str,
    projections: Mapping[str, str] = SEPARATE,
    *,
    heads: str = "num_heads",
    kv_heads: str = "",
    head_dim: str = "head_dim",
    **fields: Any,
) -> Attention:
    """The view of the attention `layer.name`, or what the module says that stands in its place.

    Args:
        layer: the block that holds it.
        name: what the block calls it.
        projections: what it calls its linear layers, by their place in the view.
        heads: where it has the number of its heads, such as "config.num_attention_heads".
        kv_heads: where it has that of keys and values; unless given, there are as many.
        head_dim: where it has the width of a head.
        **fields: further fields of `Attention`.
    """
    site = see_through(layer, name)
    module: Any = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    sites: dict[str, Any] = {place: see_through(module, projection) for place, projection in projections.items()}
    return Attention(
        site=site,
        **sites,
        num_heads=attrgetter(heads)(module),
        num_kv_heads=attrgetter(kv_heads or heads)(module),
        head_dim=attrgetter(head_dim)(module),
        **fields,
    )


def mlp_at(layer: nn.Module, name: str, linears: Mapping[str, str], activation: str) -> MLP:
    """The view of the FFN `layer.name`, or what the module says that stands in its place.

    Args:
        layer: the block that holds it.
        name: what the block calls it.
        linears: what it calls its linear layers, by their place in the view: up and down, and with a gate it is gated.
        activation: what it calls its activation.
    """
    site = see_through(layer, name)
    module: Any = site.get()
    if isinstance(module, DescribesMLP):
        return module.describe_mlp(site, site, None)
    sites: dict[str, Any] = {place: see_through(module, linear) for place, linear in linears.items()}
    kind: Literal["gated", "plain"] = "plain"
    if "gate" in sites or "gate_up" in sites:
        kind = "gated"
    down = sites["down"].get()
    return MLP(
        site=site,
        output=site,
        kind=kind,
        **sites,
        activation=getattr(module, activation),
        width=down.out_features,
        hidden=down.in_features,
    )
