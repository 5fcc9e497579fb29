"""Block Drop: whole blocks leave the model, attention and FFN together; the others are numbered again.

He et al. (arXiv 2406.02500), Block Drop: the blocks whose outputs are most like their inputs, wherever they lie
("discrete", as in the tables of the paper), or the neighbouring ones that together change least ("consecutive").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import torch
from torch import nn

from ...anatomy import describe
from ...errors import ModelError
from .choice import BY_SIMILARITY, Choice, check_number, choose
from .dropped import Dropped, checked, report, size_of

Pattern = Literal["discrete", "consecutive"]


def droppable_blocks(model: nn.Module) -> list[int]:
    """Indices of the blocks that can be dropped; one that changes the shape, or that others need, is no candidate.

    Args:
        model: a model whose anatomy is known.

    Raises:
        ModelError: there is none.
    """
    found = [block.index for block in describe(model).blocks if block.removable]
    if not found:
        raise ModelError(f"{type(model).__name__} has no block that could be dropped")
    return found


def windows(candidates: Sequence[int], n: int) -> list[int]:
    """First blocks of all windows of n neighbouring candidates, n of 1 or more.

    Raises `ModelError` where no n candidates are neighbours.
    """
    there = set(candidates)
    starts = [start for start in candidates if there.issuperset(range(start, start + n))]
    if not starts:
        raise ModelError(f"no {n} neighbouring blocks can be dropped: of this model, the blocks {list(candidates)} can")
    return starts


def choose_window(
    candidates: Sequence[int],
    n: int,
    *,
    choice: Choice = "similarity",
    similarity: Mapping[int, float] | None = None,
    generator: torch.Generator | None = None,
) -> tuple[int, ...]:
    """Choose n neighbouring blocks, as `choose` does, by their similarity as a window.

    Args:
        candidates: indices of blocks, in the order of the model.
        n: how many.
        choice: as in `choose`.
        similarity: what `block_similarity(model, batches, window=n)` says, by first block; a window without a value is
            none.
        generator: draws that of "random".

    Returns:
        The chosen ones, in the order of the model.

    Raises:
        ModelError: no n neighbours can be dropped together, none of them has a similarity, or what `choose` refuses.
    """
    check_number(n, len(candidates))
    if n == 0:
        return ()
    starts = windows(candidates, n)
    if choice in BY_SIMILARITY and similarity is not None:
        starts = [start for start in starts if start in similarity]
        if not starts:
            raise ModelError(f"none of the windows of {n} neighbouring blocks that can be dropped has a similarity")
    (start,) = choose(starts, 1, choice=choice, similarity=similarity, generator=generator)
    return tuple(range(start, start + n))


def drop_blocks(model: nn.Module, blocks: Iterable[int]) -> Dropped:
    """Take blocks out, in place; cache indices and the configuration follow.

    The model decodes with a cache, and saves and loads as a stock model that was built with the other blocks.

    Args:
        model: a model whose anatomy is known.
        blocks: their indices.

    Returns:
        What went, by path, with its parameters and bytes.

    Raises:
        ModelError: a block has to stay, or none would be left. Nothing changes.

    Example: `drop_blocks(model, choose(droppable_blocks(model), 5, similarity=block_similarity(model, batches)))`.
    """
    anatomy = describe(model)
    chosen = [anatomy.blocks[index] for index in checked(blocks, anatomy)]
    paths = [block.site.path for block in chosen]
    before = size_of(model)
    if chosen:
        anatomy.remove(block.index for block in chosen)
    return report(model, "block", chosen, paths, before)
