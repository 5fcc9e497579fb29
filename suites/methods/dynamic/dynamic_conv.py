"""Dynamic convolutions: the kernel of each image is mixed from several by an attention

DY-Conv (Chen et al., arXiv 1912.03458), CondConv (Yang et al., arXiv 1904.04971) and ODConv (Li et al., arXiv
2209.07947) in the place of the convolutions of a network. Kernels start as copies of the network's, so that it computes
at first what it did. In a chain, `pad_net` makes a part of the weights static.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from sparsebench.models.dynamic.conversion import make_dynamic
from sparsebench.models.dynamic.convolution.config import ConvConfig
from sparsebench.models.errors import ModelError

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.traits import CONVOLUTIONS
from ...training.callbacks import Callback
from ...training.from_scratch import FromScratch
from ...training.trainable import Trains
from ..shared._tuned import TunedMethod
from ._dynamic import DYNAMIC, ODCONV_ATTENTIONS, Annealing


@dataclass(frozen=True, kw_only=True)
class DynamicConv(FromScratch, TunedMethod):
    """A network from scratch wants `noise: 1`, kernels that differ from the start; a pre-trained one `noise: 0`."""

    train: Trains = "all"
    """What trains on a task that trains."""
    kind: Literal["dy_conv", "cond_conv", "od_conv"] = "dy_conv"
    """Which dynamic convolution."""
    kernels: int = 4
    """Kernels of each convolution."""
    which: Literal["all", "spatial", "pointwise", "depthwise"] = "all"
    """Which convolutions of the blocks; the stem and the classifier stay static."""
    noise: float = 0.0
    """Standard deviation of what is added to each copy, as a fraction of that of the weight."""
    reduction: int = 16
    """By how much the attention is narrower than its input."""
    temperature: float = 30.0
    """Temperature of the attention at the start of training; it falls to 1."""
    annealing: float = 0.15
    """Share of the steps that it falls."""

    def __post_init__(self) -> None:
        self.config(0)
        if not 0 <= self.annealing <= 1:
            raise ValueError(
                f"annealing={self.annealing} is the fraction of the steps that the temperature falls: 0 to 1"
            )

    @property
    def needs(self) -> frozenset[str]:
        """Convolutions."""
        return frozenset({CONVOLUTIONS})

    @property
    def gives(self) -> frozenset[str]:
        """Weights that depend on the input, and in an ODConv attentions that can be partitioned, too."""
        if self.kind == "od_conv":
            return frozenset({DYNAMIC, ODCONV_ATTENTIONS})
        return frozenset({DYNAMIC})

    def config(self, seed: int) -> ConvConfig:
        """The settings of the layers. Raises `ModelError` for those that cannot be."""
        return ConvConfig(
            kind=self.kind,
            num_kernels=self.kernels,
            which=self.which,
            noise=self.noise,
            reduction=self.reduction,
            temperature=self.temperature,
            seed=seed,
        )

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Put the layers in, in place. Raises `NotApplicable` for a model without such convolutions."""
        seed = int(torch.randint(2**31 - 1, (), generator=context.generator("dynamic-convolutions")))
        try:
            return make_dynamic(backbone, self.config(seed))
        except ModelError as error:
            raise NotApplicable(str(error)) from error

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """The temperature falls."""
        return (*super().callbacks(context), Annealing(self.temperature, self.annealing))
