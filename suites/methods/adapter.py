"""Bottleneck adapter after each FFN of a transformer, or after each block of a CNN

Houlsby et al. (arXiv 1902.00751), one adapter per block after the FFN as in Pfeiffer et al. (arXiv 2005.00247); on a
CNN two 1x1 convolutions with a GELU between them after each block (RepAdapter's place, arXiv 2302.08106). The head
trains too.
"""

from dataclasses import dataclass

from torch import nn

from sparsebench.models.adapters.attach import attach

from ..context import Context
from ..parameter_efficient import ParameterEfficientMethod


@dataclass(frozen=True, kw_only=True)
class Adapter(ParameterEfficientMethod):
    """A dense adapter of `rank` hidden units in each of the last blocks."""

    rank: int = 8
    """Hidden units of each adapter."""

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The frozen backbone with adapters."""
        attach(backbone, self.bottleneck(backbone, self.rank, context))
        return backbone
