"""Parts of blocks that leave a model for good, and the report of that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import nn

from ...anatomy import Anatomy, Block, describe
from ...errors import ModelError
from ...hub.declaration import declare
from .absent import without

Part = Literal["mlp", "attention", "block"]
"""What of a block goes; "block": all of it."""
SHOWN = 8
"""Blocks that are named in a line."""


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """What was taken out of a model.

    Attributes:
        part: of each block.
        blocks: indices in the model as it was.
        paths: its names for what went.
        parameters: how many fewer the model has; a parameter that several modules share counts once.
        bytes: how many fewer it has.
    """

    part: Part
    blocks: tuple[int, ...]
    paths: tuple[str, ...]
    parameters: int
    bytes: int

    def __repr__(self) -> str:
        """One line; of many blocks the first ones."""
        shown = ", ".join(map(str, self.blocks[:SHOWN]))
        if len(self.blocks) > SHOWN:
            shown += f" and {len(self.blocks) - SHOWN} more"
        sizes = f"{self.parameters:,} parameters, {self.bytes:,} bytes fewer"
        return f"Dropped({self.part} of blocks {shown or 'none'}; {sizes})"


def drop_parts(model: nn.Module, blocks: Iterable[int], part: Literal["mlp", "attention"]) -> Dropped:
    """Take the FFN or the attention of these blocks out with its norms, in place.

    Raises `ModelError`, and changes nothing, where one is not there or cannot be taken out.
    """
    anatomy = describe(model)
    chosen = [anatomy.blocks[index] for index in checked(blocks, anatomy)]
    # All are tried before the first one goes.
    for block in chosen:
        with without(block, mlp=part == "mlp", attention=part == "attention"):
            pass
    before = size_of(model)
    paths = [_path(block, part) for block in chosen]
    for block in chosen:
        if part == "mlp":
            block.remove_mlp()
        else:
            block.remove_attention()
    if chosen:
        declare(model, "removed")
    return report(model, part, chosen, paths, before)


def report(
    model: nn.Module,
    part: Part,
    chosen: Iterable[Block],
    paths: Iterable[str],
    before: tuple[int, int],
) -> Dropped:
    """What went, by the size (parameters, bytes) that the model had before."""
    parameters, size = size_of(model)
    return Dropped(
        part=part,
        blocks=tuple(block.index for block in chosen),
        paths=tuple(paths),
        parameters=before[0] - parameters,
        bytes=before[1] - size,
    )


def size_of(model: nn.Module) -> tuple[int, int]:
    """Number and bytes of the parameters of a model."""
    parameters = list(model.parameters())
    return sum(parameter.numel() for parameter in parameters), sum(parameter.nbytes for parameter in parameters)


def checked(blocks: Iterable[int], anatomy: Anatomy) -> tuple[int, ...]:
    """The indices in order. Raises `ModelError` for one that is not there or stands twice."""
    given = list(blocks)
    chosen = sorted(set(given))
    there = range(len(anatomy.blocks))
    unknown = [index for index in chosen if index not in there]
    if unknown or len(chosen) < len(given):
        raise ModelError(f"blocks={given} must be different blocks of 0..{len(there) - 1}")
    return tuple(chosen)


def _path(block: Block, part: Literal["mlp", "attention"]) -> str:
    found = block.mlp if part == "mlp" else block.attention
    assert found is not None
    return found.site.path
