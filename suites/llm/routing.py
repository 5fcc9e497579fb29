"""What the routers of a model do with a text, for the record."""

from collections.abc import Callable
from typing import TypeVar

from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.models.moe.routing.probe import has_mixture, routing_probe

Result = TypeVar("Result")


def watched(model: nn.Module, work: Callable[[], Result]) -> tuple[Result, dict[int, tuple[float, ...]]]:
    """What `work` returns, and by block the share of its tokens' choices that each expert got; {} without a router.

    Stock mixtures and converted ones are seen alike. Where both FFN and attention are routed, the shares are those of
    the FFN.
    """
    if not has_mixture(model):
        return work(), {}
    with routing_probe(model) as probe:
        result = work()
    seen = probe.layers
    of_ffn: dict[int, tuple[float, ...]] = {}
    of_attention: dict[int, tuple[float, ...]] = {}
    for block in describe(model).blocks:
        if block.mlp is not None and block.mlp.site.path in seen:
            of_ffn[block.index] = tuple(seen[block.mlp.site.path].load.tolist())
        if block.attention is not None and block.attention.site.path in seen:
            of_attention[block.index] = tuple(seen[block.attention.site.path].load.tolist())
    return result, of_ffn or of_attention
