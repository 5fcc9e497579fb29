"""VPT-deep: learned tokens before every block

Jia et al. (arXiv 2203.12119), section 3.2, as the authors run it: dropout 0.1 on the prompts. They train by SGD at
rates from 0.05 to 50, of which ours, AdamW, has no counterpart. The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.adapters import AdapterConfig, preset

from ...contracts.traits import ATTENTION, BLOCKS, IMAGE_TOKENS
from ..shared._released import ReleasedByTask
from ._adapters import AdapterMethod


@dataclass(frozen=True, kw_only=True)
class VPTDeep(ReleasedByTask, AdapterMethod):
    """`length` prompts of its own for each block."""

    length: int = 10
    """Prompts per block; the paper chooses it per task."""
    dropout: float = 0.1
    """Dropout of the prompts, in training."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION, IMAGE_TOKENS)
    release: ClassVar[str] = "vpt_deep"

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The prompts."""
        return preset("vpt_deep", faithful=True, length=self.length, dropout=self.dropout, **common)
