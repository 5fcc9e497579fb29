"""SSF: a learned scale and shift after every linear layer, convolution and norm

Lian et al. (arXiv 2210.08823), eq. 3. The head trains too. The published
scores take the best test epoch; ours the last.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from sparsebench.models.adapters import AdapterConfig, SSFConfig

from ._adapters import AdapterMethod


@dataclass(frozen=True, kw_only=True)
class SSF(AdapterMethod):
    """Scales of 1 and shifts of 0 at first."""

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The scales and shifts."""
        return SSFConfig(**common)
