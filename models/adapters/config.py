"""What every adapter configuration has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from ..anatomy import Block, Site
from ..errors import ModelError, check_choice
from .masked import Init


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """Base of adapter configurations. A subclass says in `place` which modules go where in a block.

    `r`: width of the bottleneck. `blocks`: "all" or the number of last blocks that get adapters. `init`: see
    `masked.initialise`; pruning by SNIP needs "normal". `train_head`: train the model's head too.
    """

    r: int = 8
    blocks: Literal["all"] | int = "all"
    init: Init = "zero_up"
    train_head: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("init", self.init, get_args(Init))
        if self.r < 1:
            raise ModelError(f"r={self.r} must be at least 1")
        if self.blocks != "all" and (not isinstance(self.blocks, int) or self.blocks < 1):
            raise ModelError(f"blocks={self.blocks!r} must be 'all' or a number of last blocks, at least 1")

    def place(self, block: Block, generator: torch.Generator) -> Iterator[tuple[Site, nn.Module]]:
        """The sites of a block and the modules to put there; nothing is changed yet."""
        raise NotImplementedError
