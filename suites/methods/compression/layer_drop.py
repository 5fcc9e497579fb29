"""Layer Drop: the mixtures that change the residual stream least leave the model, with their norms

He et al. (arXiv 2406.02500): the similarity of the stream before and after a mixture, S(NM), decides; S(M) compares
what enters the mixture itself and what leaves it. Dense layers of a mixture model stay. `layers: all` is for the dense
twin of the claim that mixtures are the more redundant ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.compression.trimming.dropped import Part
from sparsebench.models.compression.trimming.layer_drop import Layers, drop_layers, droppable_layers
from sparsebench.models.compression.trimming.similarity import Metric, layer_similarity

from ...contracts.traits import BLOCKS, EXPERTS
from ._depth_trimming import DepthTrimming

CONTROLS = (
    {"choice": "reverse"},
    {"choice": "random"},
    {"choice": "first"},
    {"choice": "last"},
    {"choice": "oracle"},
)
"""Configurations that are controls, read by the report."""


@dataclass(frozen=True, kw_only=True)
class LayerDrop(DepthTrimming):
    """n FFNs go; the residual connection around each stays."""

    part: ClassVar[Part] = "mlp"
    metric: Metric = "norm_moe"
    """S(NM), by which the paper drops, or S(M), its ablation. Whichever decides, the norm goes too."""
    layers: Layers = "mixtures"
    """Mixtures alone, or dense FFNs too."""

    @property
    def trait(self) -> str:
        """Experts, or any block."""
        return EXPERTS if self.layers == "mixtures" else BLOCKS

    @property
    def measured(self) -> str:
        """Which of the two similarities."""
        return self.metric

    def candidates(self, model: nn.Module) -> list[int]:
        """Blocks with such an FFN."""
        return droppable_layers(model, self.layers)

    def similarity(self, model: nn.Module, batches: Sequence[Any], candidates: Sequence[int]) -> Mapping[int, float]:
        """Mean cosine before and after each candidate."""
        return layer_similarity(model, batches, candidates, metric=self.metric, dtype=self.dtype)

    def drop(self, model: nn.Module, chosen: Sequence[int]) -> object:
        """Take the FFNs out."""
        return drop_layers(model, chosen)
