"""VPT-deep: learned tokens before every block

Jia et al. (arXiv 2203.12119), section 3.2. The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.adapters import AdapterConfig, PromptConfig

from ...contracts.traits import ATTENTION, BLOCKS, IMAGE_TOKENS
from ._adapters import AdapterMethod


@dataclass(frozen=True, kw_only=True)
class VPTDeep(AdapterMethod):
    """`length` prompts of its own for each block."""

    length: int = 10
    """Prompts per block."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION, IMAGE_TOKENS)

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The prompts."""
        return PromptConfig(length=self.length, depth="deep", **common)
