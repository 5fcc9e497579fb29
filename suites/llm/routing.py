"""What the routers of a model do with a text, for the record."""

from collections.abc import Callable
from typing import TypeVar

from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.models.moe.layer import MoEFFN
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
    stats = {layer.layer: tuple(layer.load.tolist()) for layer in router_stats(model)}
    of_ffn = {name: load for name, load in stats.items() if isinstance(model.get_submodule(name), MoEFFN)}
    block = _blocks(model)
    return result, {block[name]: load for name, load in (of_ffn or stats).items()}


def _blocks(model: nn.Module) -> dict[str, int]:
    """Number of the block by the path of its FFN and of its attention."""
    blocks = describe(model).blocks
    return {
        part.site.path: block.index for block in blocks for part in (block.mlp, block.attention) if part is not None
    }
