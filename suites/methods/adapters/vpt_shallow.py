"""VPT-shallow: learned tokens before the first block

Jia et al. (arXiv 2203.12119), section 3.2, as the authors run it: dropout 0.1 on the prompts. They train by SGD at
rates from 0.05 to 50, of which ours, AdamW, has no counterpart. The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.adapters import AdapterConfig, preset

from ...contracts.traits import ATTENTION, BLOCKS, IMAGE_TOKENS
from ._adapters import AdapterMethod


@dataclass(frozen=True, kw_only=True)
class VPTShallow(AdapterMethod):
    """`length` prompts that pass through all blocks."""

    length: int = 50
    """Prompts."""
    dropout: float = 0.1
    """Dropout of the prompts, in training."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION, IMAGE_TOKENS)

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The prompts."""
        return preset("vpt_shallow", faithful=True, length=self.length, dropout=self.dropout, **common)
