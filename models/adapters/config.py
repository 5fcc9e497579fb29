"""What every adapter configuration has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, get_args

import torch

from ..anatomy import Anatomy, Block, Site
from ..errors import ModelError, check_choice, check_whole
from .initialisation import Init
from .layer import AdapterLayer

KINDS: dict[str, type[AdapterConfig]] = {}
"""Every configuration class by its name, as saved sets refer to it."""


@dataclass(frozen=True, kw_only=True)
class AdapterConfig:
    """Base of adapter configurations. A subclass says in `place_in` which layers go where in a block.

    Attributes:
        blocks: "all", or the number of last blocks that get adapters.
        train_head: train the model's head too.
        seed: of the random numbers that the layers start from.
    """

    blocks: Literal["all"] | int = "all"
    train_head: bool = True
    seed: int = 0

    former_defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Values of fields that files have not which are older than the fields."""

    def __init_subclass__(cls, **keywords: object) -> None:
        super().__init_subclass__(**keywords)
        KINDS[cls.__name__] = cls

    def __post_init__(self) -> None:
        if self.blocks == "all":
            return
        if not isinstance(self.blocks, int) or isinstance(self.blocks, bool) or self.blocks < 1:
            raise ModelError(f"blocks={self.blocks!r} must be 'all' or a number of last blocks, at least 1")

    def place(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """Sites and the layers to put there, whose `base_layer` is what lies there now; nothing is changed yet.

        Args:
            anatomy: the model.
            generator: draws what the layers start from.
        """
        for block in self.chosen(anatomy):
            yield from self.place_in(block, generator)

    def uses(self) -> tuple[str, ...]:
        """Names of attached sets that this one is built on: `attach` freezes them, and they cannot go before it."""
        return ()

    def place_in(self, block: Block, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """Sites and layers of one block."""
        raise NotImplementedError(f"{type(self).__name__} must implement place_in or place")

    def chosen(self, anatomy: Anatomy) -> tuple[Block, ...]:
        """The last blocks of the model that get adapters.

        Args:
            anatomy: the model.

        Raises:
            ModelError: it has fewer blocks than `blocks` asks for.
        """
        if self.blocks == "all":
            return anatomy.blocks
        if self.blocks > len(anatomy.blocks):
            raise ModelError(f"blocks={self.blocks} exceeds the {len(anatomy.blocks)} blocks of the model")
        return anatomy.blocks[-self.blocks :]


@dataclass(frozen=True, kw_only=True)
class RankConfig(AdapterConfig):
    """Base of those with a bottleneck of width `r`. `init`: see `initialisation.initialise`; SNIP needs "normal"."""

    r: int = 8
    init: Init = "zero_up"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("init", self.init, get_args(Init))
        check_whole("r", self.r)


@dataclass(frozen=True, kw_only=True)
class CombinedConfig(AdapterConfig):
    """Several kinds as one set, such as MAM. `blocks` is that of each part; the rest is of the whole."""

    parts: tuple[AdapterConfig, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.parts or not all(isinstance(part, AdapterConfig) for part in self.parts):
            raise ModelError(f"parts={self.parts!r} must be one or more adapter configurations")
        if self.blocks != "all":
            raise ModelError(f"blocks={self.blocks!r} of several parts: give each part its own")

    def place(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """The layers of all parts."""
        for part in self.parts:
            yield from part.place(anatomy, generator)

    def uses(self) -> tuple[str, ...]:
        """Those of all parts."""
        names: dict[str, None] = {}
        for part in self.parts:
            names |= dict.fromkeys(part.uses())
        return tuple(names)
