"""Attentions and FFNs that were removed from a model, as a part of its description."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..anatomy import describe
from ..anatomy.removed import RemovedAttention, RemovedMLP


class RemovedLayers:
    """What `Block.remove_mlp` and `Block.remove_attention` leave; see `parts.Part`."""

    def holds(self, module: nn.Module) -> bool:
        """Whether a module stands where a layer was removed."""
        return isinstance(module, RemovedAttention | RemovedMLP)

    def describe(self, model: nn.Module) -> dict[str, Any]:
        """The blocks without an FFN, and without an attention."""
        without: dict[str, list[int]] = {"mlp": [], "attention": []}
        for block in describe(model).blocks:
            for module in block.site.get().modules():
                if isinstance(module, RemovedMLP):
                    without["mlp"].append(block.index)
                elif isinstance(module, RemovedAttention):
                    without["attention"].append(block.index)
        return without

    def words(self, description: dict[str, Any]) -> str:
        """How many are gone."""
        return f"{len(description['attention'])} attentions and {len(description['mlp'])} FFNs removed"

    def build(self, model: nn.Module, description: dict[str, Any]) -> None:
        """Remove what the description says."""
        for block in describe(model).blocks:
            if block.index in description["mlp"]:
                block.remove_mlp()
            if block.index in description["attention"]:
                block.remove_attention()
