"""Converted layers as the part of a model that this room adds."""

from __future__ import annotations

from typing import Any

from torch import nn

from ...anatomy import DescribesAttention
from ...errors import ModelError
from ..layer import MoEFFN
from .skeleton import build_layers, layers_of


class MoELayers:
    """Feed-forward and attention experts; see `hub.parts.Part`."""

    def holds(self, module: nn.Module) -> bool:
        """Whether a module is a converted layer."""
        if isinstance(module, MoEFFN):
            return True
        if not isinstance(module, DescribesAttention):
            return False
        from ..attention.layer import AttentionMoE  # needs transformers, which this file does not

        return isinstance(module, AttentionMoE)

    def describe(self, model: nn.Module) -> dict[str, Any]:
        """Per block the configurations, sizes and scale of what was converted."""
        return layers_of(model)

    def build(self, model: nn.Module, description: dict[str, Any]) -> None:
        """Put the converted layers in the places of the dense ones.

        Args:
            model: a dense model.
            description: what `describe` gave.

        Raises:
            ModelError: the description does not say how the model was converted.
        """
        if not description:
            raise ModelError(f"the configuration of this {type(model).__name__} does not say how it was converted")
        build_layers(model, description)
