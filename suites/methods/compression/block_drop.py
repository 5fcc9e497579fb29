"""Block Drop: the blocks that change the hidden state least leave the model, attention and FFN together

He et al. (arXiv 2406.02500): "discrete" takes the most similar blocks wherever they lie, as in the tables of the paper;
"consecutive" takes the neighbouring ones that together change the hidden state least.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.compression.trimming.block_drop import (
    Pattern,
    choose_window,
    drop_blocks,
    droppable_blocks,
    windows,
)
from sparsebench.models.compression.trimming.choice import check_number
from sparsebench.models.compression.trimming.dropped import Part
from sparsebench.models.compression.trimming.exhaustive import check_count
from sparsebench.models.compression.trimming.similarity import block_similarity

from ...contracts.context import Context
from ...contracts.traits import BLOCKS
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
class BlockDrop(DepthTrimming):
    """n blocks go; the others are numbered again, in a cache and in the configuration."""

    part: ClassVar[Part] = "block"
    pattern: Pattern = "discrete"
    """The best blocks one by one, or the best window of neighbours."""

    @property
    def trait(self) -> str:
        """Blocks."""
        return BLOCKS

    @property
    def measured(self) -> str:
        """The length of the windows."""
        return str(self.window)

    @property
    def window(self) -> int:
        """Blocks that are looked at together."""
        return self.n if self.pattern == "consecutive" else 1

    def candidates(self, model: nn.Module) -> list[int]:
        """Blocks without which the model runs."""
        return droppable_blocks(model)

    def dropped(self, candidates: Sequence[int], similarity: Mapping[int, float], context: Context) -> tuple[int, ...]:
        """Indices of the blocks that go."""
        if self.pattern == "discrete":
            return super().dropped(candidates, similarity, context)
        return choose_window(candidates, self.n, similarity=similarity, **self.ways(context))

    def sets(self, candidates: Sequence[int]) -> list[tuple[int, ...]]:
        """Any blocks, or neighbours."""
        if self.pattern == "discrete" or self.n == 0:
            return super().sets(candidates)
        check_number(self.n, len(candidates))
        starts = windows(candidates, self.n)
        check_count(len(starts), self.oracle_sets)
        return [tuple(range(start, start + self.n)) for start in starts]

    def similarity(self, model: nn.Module, batches: Sequence[Any], candidates: Sequence[int]) -> Mapping[int, float]:
        """Mean cosine before and after each block, or each window by its first block."""
        return block_similarity(model, batches, window=self.window, dtype=self.dtype)

    def drop(self, model: nn.Module, chosen: Sequence[int]) -> object:
        """Take the blocks out."""
        return drop_blocks(model, chosen)
