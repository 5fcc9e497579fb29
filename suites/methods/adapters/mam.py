"""MAM: a learned prefix in the attention and a scaled adapter beside the FFN

He et al. (arXiv 2110.04366), section 4.5, "mix and match". The head trains too.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sparsebench.models.adapters import AdapterConfig

from ...contracts.traits import ATTENTION, BLOCKS
from ._adapters import AdapterMethod, prunable


@dataclass(frozen=True, kw_only=True)
class MAM(AdapterMethod):
    """A prefix of 16 positions and adapters of `rank` hidden units times 2, as published for GLUE."""

    rank: int = 16
    """Hidden units of each adapter."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, ATTENTION)

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The published adapters."""
        return prunable("mam", backbone, rank=self.rank, init="zero_up", **common)
