"""What the routers of a model do with a text, for the record."""

from collections.abc import Callable
from typing import TypeVar

from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.models.moe.routing.statistics import Routed, router_stats, watch

Result = TypeVar("Result")


def watched(model: nn.Module, work: Callable[[], Result]) -> tuple[Result, dict[int, tuple[float, ...]]]:
    """What `work` returns, and by block the share of its tokens' choices that each expert got; {} without a router.

    Where both FFN and attention are routed, the shares are those of the FFN.
    """
    if not any(isinstance(module, Routed) for module in model.modules()):
        return work(), {}
    with watch(model):
        result = work()
    loads = {layer.layer: tuple(layer.load.tolist()) for layer in router_stats(model)}
    of_ffn, of_attention = {}, {}
    for block in describe(model).blocks:
        if block.mlp is not None and block.mlp.site.path in loads:
            of_ffn[block.index] = loads[block.mlp.site.path]
        if block.attention is not None and block.attention.site.path in loads:
            of_attention[block.index] = loads[block.attention.site.path]
    return result, of_ffn or of_attention
