"""What the anatomy says of a mixture whose experts lie in a bank, whatever stands around it."""

from __future__ import annotations

from typing import Any, TypedDict

from torch import nn

from ...anatomy import MLP, Experts, Site, see_through, table_at
from .bank import ExpertBank


class Banked(TypedDict):
    """What every view of such experts takes."""

    num_experts: int
    top_k: int
    router: Site
    rows: tuple[Site, ...]
    table: Site | None
    module: Site
    holders: tuple[Any, ...]
    activate: Any
    bank: ExpertBank


def banked(layer: nn.Module) -> Banked:
    """The experts of a layer with a `router` and a bank called `experts`.

    Args:
        layer: wrappers around its children are seen through.
    """
    place = see_through(layer, "experts")
    bank: ExpertBank = place.get()
    router = see_through(layer, "router")
    table = table_at(layer, "experts")
    return Banked(
        num_experts=len(bank.sizes),
        top_k=router.get().top_k,
        router=router,
        # With a table the router keeps its rows when experts go.
        rows=tuple(router.get().expert_rows()) if table is None else (),
        table=table,
        module=place,
        holders=(router.get(),),
        activate=bank.activate,
        bank=bank,
    )


def banked_mlp(bank: ExpertBank, experts: Experts, site: Site, output: Site, **where: Any) -> MLP:
    """The mixture as an MLP.

    Args:
        bank: its weights.
        experts: their view.
        site: as of `MLP`.
        output: as of `MLP`.
        where: further fields of `MLP`.
    """
    return MLP(
        site=site,
        output=output,
        kind="moe",
        width=bank.down.shape[1],
        hidden=max(bank.sizes),
        activation=bank.activation,
        experts=experts,
        **where,
    )
