"""Drop path as the releases of adapters for vision transformers train with it."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from sparsebench.models.anatomy import describe

from ...contracts.context import Context
from ._adapters import AdapterMethod

PLACES = ("drop_path", "drop_path1", "drop_path2")
"""Where a block of timm drops a branch."""


@dataclass(frozen=True, kw_only=True)
class DropPathMethod(AdapterMethod):
    """Adapters whose authors train them with drop path (Huang et al., arXiv 1603.09382)."""

    drop_path: float = 0.1
    """Rate at which the branches of the last block are dropped in training, falling in a straight line to 0 at the
    first; as released. Networks without places for it (those that are not of timm) train without."""

    def __post_init__(self) -> None:
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path={self.drop_path} is a rate: from 0 to below 1")

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The frozen backbone with adapters, which drops branches in training."""
        self.blocks_of(backbone)
        if self.drop_path:
            set_drop_path(backbone, self.drop_path)
        return super().prepare(backbone, context)


def set_drop_path(model: nn.Module, rate: float) -> int:
    """Let block i of L drop its branches at the rate i / (L - 1) of `rate`, as timm does; how many branches have one.

    What drops branches already gets the new rate. A branch with adapters in it is dropped with them.
    """
    from timm.layers.drop import DropPath

    blocks = describe(model).blocks
    places = 0
    for number, block in enumerate(blocks):
        module: Any = block.site.get()
        for name in PLACES:
            if isinstance(getattr(module, name, None), nn.Identity | DropPath):
                setattr(module, name, DropPath(rate * number / max(1, len(blocks) - 1)))
                places += 1
    return places
