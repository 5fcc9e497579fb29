"""A bottleneck of 1x1 convolutions after each block of a CNN."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...anatomy import Block, Site
from ...errors import ModelError, check_choice
from ...sparsity.masked import MaskedConv2d
from ..config import RankConfig
from ..initialisation import adapter_dtype, initialise
from ..layer import AdapterLayer
from ..sites import kinds_for
from .bottleneck import ACTIVATIONS, SequentialAdapter


@dataclass(frozen=True, kw_only=True)
class ConvConfig(RankConfig):
    """out = y + scale up(act(down(y))) for the output y of each block; down and up are 1x1 convolutions with bias.

    The convolutional form of RepAdapter (Luo et al., arXiv 2302.08106) with a non-linearity, which it loses when
    `activation` is "identity". A block of c output channels gets 2 c r + r + c parameters.
    """

    r: int = 16
    activation: str = "gelu"
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("activation", self.activation, tuple(ACTIVATIONS))

    def place_in(self, block: Block, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """One wrapper around the block.

        Args:
            block: the block.
            generator: draws what it starts from.

        Raises:
            ModelError: the block is not convolutional.
        """
        if block.attention is not None or not block.convs:
            raise ModelError(f"{block.site.path} is not a convolutional block: use {kinds_for(block)}")
        last = block.convs[-1].get()
        adapter = ConvBottleneck(last.out_channels, self, generator)
        adapter.to(last.weight.device, adapter_dtype(last.weight))
        yield block.site, SequentialAdapter(block.site.get(), adapter, self.scale)


class ConvBottleneck(nn.Module):
    """up(act(down(x))) on the channels."""

    def __init__(self, channels: int, config: ConvConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.down = MaskedConv2d(channels, config.r, 1)
        self.up = MaskedConv2d(config.r, channels, 1)
        self.activation = ACTIVATIONS[config.activation]()
        initialise(self.down, self.up, config.init, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to the same shape."""
        return self.up(self.activation(self.down(x)))
