"""SSF: a learned scale and shift after every linear layer, convolution and norm

Lian et al. (arXiv 2210.08823), eq. 3, as released: scales start as N(1, 0.02²), shifts as N(0, 0.02²). The head trains
too. The published scores take the best test epoch; ours the last.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import nn

from sparsebench.models.adapters import AdapterConfig, preset

from ..shared._released import ReleasedByTask
from ._drop_path import DropPathMethod


@dataclass(frozen=True, kw_only=True)
class SSF(ReleasedByTask, DropPathMethod):
    """A scale and a shift for each channel."""

    init: Literal["normal", "identity"] = "normal"
    """As released, which changes the model a little at once; or scales of 1 and shifts of 0."""
    drop_path: float = 0.0
    """Rate at which the branches of the last block are dropped in training, falling in a straight line to 0 at the
    first; the release has 0, 0.1 or 0.2, by task. Networks without places for it (those that are not of timm) train
    without."""

    release: ClassVar[str] = "ssf"

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The scales and shifts."""
        return preset("ssf", faithful=True, init=self.init, **common)
