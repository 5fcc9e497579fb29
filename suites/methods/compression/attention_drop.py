"""Attention Drop: the attentions that change the residual stream least leave the model, with their norms

LLM-Drop (He et al., arXiv 2406.15786): attention is the most redundant part of a dense model, and its cache of keys and
values goes with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.compression.trimming.attention_drop import drop_attentions, droppable_attentions
from sparsebench.models.compression.trimming.dropped import Part
from sparsebench.models.compression.trimming.similarity import attention_similarity

from ...contracts.traits import ATTENTION
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
class AttentionDrop(DepthTrimming):
    """n attentions go; the residual connection around each stays."""

    part: ClassVar[Part] = "attention"

    @property
    def trait(self) -> str:
        """Attention."""
        return ATTENTION

    def candidates(self, model: nn.Module) -> list[int]:
        """Blocks with an attention that no other block needs."""
        return droppable_attentions(model)

    def similarity(self, model: nn.Module, batches: Sequence[Any], candidates: Sequence[int]) -> Mapping[int, float]:
        """Mean cosine before and after each candidate."""
        return attention_similarity(model, batches, candidates, dtype=self.dtype)

    def drop(self, model: nn.Module, chosen: Sequence[int]) -> object:
        """Take the attentions out."""
        return drop_attentions(model, chosen)
