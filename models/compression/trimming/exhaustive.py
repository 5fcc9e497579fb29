"""The best of all sets of layers, attentions or blocks, by the loss without them: what a similarity can hope for.

Exhaustive, one pass over the data for each set: for small models and few drops. Nothing leaves the model meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import combinations
from typing import Any

import torch
from torch import nn

from ...anatomy import Block, describe
from ...calibration.block_calls import first_argument
from ...errors import ModelError
from .absent import without
from .choice import check_number
from .dropped import Part


def all_sets(candidates: Sequence[int], n: int, most: int) -> list[tuple[int, ...]]:
    """All sets of candidates of one size.

    Args:
        candidates: indices of blocks.
        n: members of a set.
        most: sets at most.

    Returns:
        The sets, each in the order of the candidates.

    Raises:
        ModelError: there are more than `most`, or n is none of 0 to as many as there are candidates.
    """
    check_number(n, len(candidates))
    check_count(math.comb(len(candidates), n), most)
    return list(combinations(candidates, n))


def check_count(sets: int, most: int) -> None:
    """Raise a `ModelError` for more sets than may be tried."""
    if sets > most:
        raise ModelError(f"there are {sets} sets to try, more than {most}: drop fewer, or choose by similarity")


@torch.no_grad()
def best_set(
    model: nn.Module, sets: Sequence[tuple[int, ...]], part: Part, loss: Callable[[], float]
) -> tuple[tuple[int, ...], float]:
    """The set of blocks without whose parts a loss is least; of equal ones the last.

    Args:
        model: the model, which is the same again afterwards.
        sets: the sets of indices of blocks to try, such as `all_sets` gives.
        part: what goes of each block: "mlp", "attention", or the "block" itself.
        loss: runs the model, on all data, and returns a number.

    Returns:
        The set, and its loss.

    Raises:
        ModelError: no sets, a part that cannot be taken out, a loss that is NaN.

    Example: `best_set(model, all_sets(droppable_layers(model), 2, 300), "mlp", loss)`.
    """
    blocks = describe(model).blocks
    best: tuple[int, ...] | None = None
    least = math.inf
    for chosen in sets:
        with left_out([blocks[index] for index in chosen], part):
            value = float(loss())
        if math.isnan(value):
            raise ModelError(
                f"the loss without {part} of the blocks {list(chosen)} is NaN: check the model and the data"
            )
        if value <= least:
            best = chosen
            least = value
    if best is None:
        raise ModelError("there is no set to try")
    return best, least


@contextmanager
def left_out(blocks: Sequence[Block], part: Part) -> Iterator[None]:
    """While it is open, the model computes without this part of these blocks, or as if the blocks were not there."""
    with ExitStack() as stack:
        for block in blocks:
            if part == "block":
                stack.enter_context(_passed_over(block))
            else:
                stack.enter_context(without(block, mlp=part == "mlp", attention=part == "attention"))
        yield


@contextmanager
def _passed_over(block: Block) -> Iterator[None]:
    """A block that hands on what it gets. It is computed all the same: this is for its loss, not for its time."""
    name = first_argument(block.site.get())

    def hand_on(module: nn.Module, args: tuple[object, ...], keywords: dict[str, Any], output: object) -> Any:
        hidden = args[0] if args else keywords[name]
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    hook = block.site.get().register_forward_hook(hand_on, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
