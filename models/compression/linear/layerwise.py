"""Linear maps with the moments of their inputs, block by block: each block sees what the ones before it became."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from typing import cast

from torch import Tensor, nn

from ...calibration.by_block import BlockPass, by_block
from ...errors import ModelError
from .linear_inputs import watch_inputs
from .linear_map import LinearMap, Source
from .moments import Moments

MEMORY = 2**30
"""Bytes of moments that are held at once, unless said otherwise."""


def layerwise(
    model: nn.Module,
    batches: Iterable[object],
    maps: Sequence[LinearMap],
    *,
    full: bool,
    weighted: bool = False,
    memory: int = MEMORY,
    sequential: bool = True,
) -> Generator[tuple[LinearMap, Moments]]:
    """Each map of `maps` (in the order of `linear_maps`) with the moments of its inputs; change it when you get it.

    The inputs of a block are what the changed blocks before it give, or with `sequential=False` what they gave before
    they were changed; within a block they are those of the block as it
    was. Its maps come from back to front. `full`: the whole matrix of moments; `weighted`: by the router's weights
    (`Moments`). Where a block's moments need more than `memory` bytes its batches run again for those that are left,
    which changes no number. Maps without a source have no tokens. Close the iterator if you leave it early.

    Raises `ModelError` for NaN or infinite inputs, where `by_block` does, and before anything is run for maps that
    should be weighted, but whose tokens no router is known to weigh; what was changed by then stays changed.
    """
    if weighted:
        _check_weighted(maps)
    places = {one.block for one in maps}
    # Closed by hand: the traceback of an error would keep the model in eval mode.
    with closing(cast("Generator[BlockPass]", by_block(model, batches, places, sequential=sequential))) as steps:
        for step in steps:
            # From back to front: no change then reaches what is still to be seen.
            backwards = [one for one in reversed(maps) if one.block == step.block.index]
            for part in _within(backwards, full, memory):
                seen = _seen(step, part, full, weighted)
                for one in part:
                    yield one, _moments_of(one, seen, full)


def _check_weighted(maps: Sequence[LinearMap]) -> None:
    for one in maps:
        if one.source is None or one.source.expert is None:
            raise ModelError(f"nothing says what the router weighs the tokens of {one.name} with: leave weights out")


def _within(maps: Sequence[LinearMap], full: bool, memory: int) -> Iterator[list[LinearMap]]:
    """Neighbours whose moments fit into `memory` together; one map alone always does."""
    part: list[LinearMap] = []
    held: dict[Source, int] = {}
    for one in maps:
        more = _bytes(one, full)
        if part and sum((held | more).values()) > memory:
            yield part
            part = []
            held = {}
        part.append(one)
        held |= more
    if part:
        yield part


def _bytes(one: LinearMap, full: bool) -> dict[Source, int]:
    """What the moments of a map take; maps that share a source share them."""
    if one.source is None:
        return {}
    return {one.source: Moments(one.shape[1], full=full).nbytes}


def _seen(step: BlockPass, maps: Sequence[LinearMap], full: bool, weighted: bool) -> dict[Source, Moments]:
    found: dict[Source, Moments] = {}
    for one in maps:
        if one.source is not None and one.source not in found:
            found[one.source] = Moments(one.shape[1], full=full)

    def take(source: Source, x_RI: Tensor, gate_R: Tensor | None) -> None:
        found[source].add(x_RI, gate_R if weighted else None)

    if found:
        with watch_inputs(found, take, lambda: step.mask):
            step.run()
    return found


def _moments_of(one: LinearMap, seen: dict[Source, Moments], full: bool) -> Moments:
    if one.source is None:
        return Moments(one.shape[1], full=full)
    return seen[one.source]
