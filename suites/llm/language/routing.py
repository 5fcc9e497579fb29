"""What the routers of a model do with a text, and how fast the model trained, for the record."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import nn

from sparsebench.models.moe.routing.health import LayerHealth, layer_health, layer_places
from sparsebench.models.moe.routing.probe import LayerRouting, has_mixture, routing_probe
from sparsebench.reports.routers.health import KEY, PRODUCT_RATE, layer_name

from ...contracts.context import Context
from ...training.machine.product_rate import product_rate
from ...training.router_watch import health_entry

Result = TypeVar("Result")


@dataclass(frozen=True)
class Watched:
    """What the routers did with a text; nothing of a model without a router.

    `loads`: by block the fraction of the text's choices that each expert got; where both FFN and attention are routed,
    those of the FFN. `health`: by the layer's name in a record ("3", "3 attention").
    """

    loads: dict[int, tuple[float, ...]] = field(default_factory=dict)
    health: dict[str, LayerHealth] = field(default_factory=dict)


def watched(model: nn.Module, work: Callable[[], Result], *, logits: bool = False) -> tuple[Result, Watched]:
    """What `work` returns, and what the routers did in it. Stock mixtures and converted ones are seen alike.

    With `logits` there is the token entropy, too; what `work` returns may then differ in the last digit.
    """
    if not has_mixture(model):
        return work(), Watched()
    with routing_probe(model, logits=logits) as probe:
        result = work()
    return result, by_block(model, probe.layers)


def by_block(model: nn.Module, seen: Mapping[str, LayerRouting]) -> Watched:
    """What a probe saw, by the number of the block.

    Args:
        model: the model that was watched.
        seen: the layers by their dotted names.
    """
    loads: dict[bool, dict[int, tuple[float, ...]]] = {False: {}, True: {}}
    health: dict[str, LayerHealth] = {}
    for path, (block, attention) in layer_places(model).items():
        if path in seen:
            loads[attention][block] = tuple(seen[path].load.tolist())
            health[layer_name(block, attention)] = layer_health(seen[path])
    return Watched(loads[False] or loads[True], health)


def health_details(domains: Mapping[str, Watched], context: Context) -> dict[str, Any]:
    """What a record keeps of the routers' health in each domain, and the product rate if something was trained."""
    return {**_routers(domains), **_rate(context)}


def _routers(domains: Mapping[str, Watched]) -> dict[str, Any]:
    if not next(iter(domains.values())).health:
        return {}
    return {KEY: health_entry({domain: watched.health for domain, watched in domains.items()})}


def _rate(context: Context) -> dict[str, Any]:
    if context.ledger.costs() is None:
        return {}
    return {PRODUCT_RATE: float(f"{product_rate(context.device, context.dtype):.3g}")}
