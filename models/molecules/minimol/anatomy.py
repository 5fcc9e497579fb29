"""MiniMol as methods see it."""

from __future__ import annotations

from typing import Any

from ...anatomy import MLP, Anatomy, Block, Site, register_describer, see_through
from ...anatomy.building import blocks_of, mlp_at
from .folding import FoldedMLP
from .network import MiniMol

_MLP = {"up": "up", "down": "down"}


def describe_minimol(network: Any) -> Anatomy:
    """The anatomy of a `MiniMol`: its blocks are the layers between the first and the last, which change the width.

    A block's MLP is that of its GINE, and there is no attention. The norm inside an MLP belongs to all of its neurons,
    which therefore cannot be cut apart; `fold_norms` makes layers of which they can.
    """
    names = ("laplacian", "returns", "atoms", "bonds", "first", "first_node")
    last = network.last
    return Anatomy(
        model=network,
        blocks=blocks_of(network.layers, _block),
        width=network.width,
        embeddings=tuple(see_through(network, name) for name in names),
        final_norm=None if last is None else see_through(last, "norm"),
    )


def _block(site: Site, index: int) -> Block:
    layer = site.get()
    gine = see_through(layer, "gine").get()
    virtual = see_through(layer, "virtual").get()
    mlp, inner = _mlp(gine)
    own = (*inner, see_through(gine, "norm"))
    others = (see_through(gine, "bond"), see_through(virtual, "fc"), see_through(virtual, "project"))
    return Block(
        index=index,
        site=site,
        mlp=mlp,
        norms=(*own, see_through(virtual, "norm")),
        linears=(*mlp.linears, *others),
        mlp_norms=own,
    )


def _mlp(gine: Any) -> tuple[MLP, tuple[Site, ...]]:
    """The MLP of a layer, and the norm inside it."""
    site = see_through(gine, "mlp")
    module = site.get()
    if isinstance(module, FoldedMLP):
        return mlp_at(module, "ffn", _MLP, "activation"), ()
    mlp = mlp_at(gine, "mlp", _MLP, "activation")
    inner = (see_through(module, "norm"),) if mlp.kind == "plain" else ()
    return mlp, inner


register_describer(MiniMol, describe_minimol)
