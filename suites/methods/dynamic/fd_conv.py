"""FDConv: kernels of parts with disjoint frequencies, which each image weighs anew

Chen et al., "Frequency Dynamic Convolution for Dense Image Prediction", arXiv 2503.18783. A rival of partially dynamic
networks: dynamic kernels from hardly more numbers than one kernel has.
"""

from dataclasses import dataclass

import torch
from torch import nn

from sparsebench.models.dynamic.conversion import make_dynamic
from sparsebench.models.dynamic.convolution.fd_conv import FrequencyConfig
from sparsebench.models.errors import ModelError

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.traits import CONVOLUTIONS
from ...training.from_scratch import FromScratch
from ...training.trainable import Trains
from ..shared._tuned import TunedMethod


@dataclass(frozen=True, kw_only=True)
class FDConv(FromScratch, TunedMethod):
    """The start is the network as it was."""

    train: Trains = "all"
    """What trains on a task that trains."""
    groups: int = 64
    """Groups of frequencies of each kernel; 64 in the released configurations."""
    reduction: int = 16
    """By how much the modulation is narrower than its input; it has 16 hidden units at least."""

    def __post_init__(self) -> None:
        FrequencyConfig(groups=self.groups, reduction=self.reduction)

    @property
    def needs(self) -> frozenset[str]:
        """Convolutions."""
        return frozenset({CONVOLUTIONS})

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Put the layers in, in place. Raises `NotApplicable` for a model without such convolutions."""
        seed = int(torch.randint(2**31 - 1, (), generator=context.generator("frequency-convolutions")))
        try:
            return make_dynamic(backbone, FrequencyConfig(groups=self.groups, reduction=self.reduction, seed=seed))
        except ModelError as error:
            raise NotApplicable(str(error)) from error
