"""How little a layer, an attention or a block changes what it gets: mean cosines on calibration data.

He et al. (arXiv 2406.02500): the more alike the states before and after, the less is lost without what lies between.
Of an FFN F that adds F(Norm(x')) to x': S(NM) = cos(x', x' + F(Norm(x'))), "norm_moe", by which the paper drops, and
for its ablation S(M) = cos(Norm(x'), F(Norm(x'))), "moe". Of an attention, as in LLM-Drop (arXiv 2406.15786),
cos(x, x + A(Norm(x))). Of a block, the cosine of the hidden states that enter and leave it.

The states before and after an FFN or attention are what the block gives without and with it, by the removal that would
follow. So a block that scales its branches, normalises their sums (BERT) or adds both to one input (GPT-NeoX) is judged
by what its cut will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any, Literal

import torch
from torch import nn

from ...anatomy import describe
from ...calibration.by_block import BlockPass, by_block
from ...errors import ModelError, check_choice
from .mean_cosine import MeanCosine
from .states import States, Window, around_attention, around_mlp, mlp_alone

Metric = Literal["norm_moe", "moe"]


def layer_similarity(
    model: nn.Module,
    batches: Iterable[object],
    blocks: Sequence[int],
    *,
    metric: Metric = "norm_moe",
    dtype: torch.dtype = torch.float32,
) -> dict[int, float]:
    """Mean cosine before and after the FFN of each of these blocks, by index, over the real tokens of all batches.

    Raises `ModelError` for an FFN that cannot be taken out, and for data without tokens or with NaN.

    Example: `layer_similarity(mixtral, batches, droppable_layers(mixtral))`.
    """
    check_choice("metric", metric, ("norm_moe", "moe"))
    states = around_mlp if metric == "norm_moe" else mlp_alone
    return _measured(model, batches, blocks, states, dtype)


def attention_similarity(
    model: nn.Module, batches: Iterable[object], blocks: Sequence[int], *, dtype: torch.dtype = torch.float32
) -> dict[int, float]:
    """Mean cosine before and after the attention of each of these blocks, as `layer_similarity` measures FFNs."""
    return _measured(model, batches, blocks, around_attention, dtype)


def block_similarity(
    model: nn.Module, batches: Iterable[object], *, window: int = 1, dtype: torch.dtype = torch.float32
) -> dict[int, float]:
    """Mean cosine of what enters each window of so many neighbouring blocks and what leaves it, by its first block.

    A window has no value where a block in it gets something else than what the one before gave (the next stage of a
    Swin). The hidden states of all batches are held `window` times. Raises `ModelError` for a window that does not fit
    into the model, and for data without tokens or with NaN.
    """
    check_window(window, len(describe(model).blocks))
    states = Window(window)
    found: dict[int, float] = {}
    passes: Any = by_block(model, batches)
    with closing(passes):
        for step in passes:
            states.next_block()
            value = _mean(step, states, dtype)
            if states.full:
                found[step.block.index - window + 1] = value
    return found


def check_window(window: int, blocks: int) -> None:
    """Raise a `ModelError` unless a window is a whole number of 1 to the number of blocks."""
    if isinstance(window, bool) or not isinstance(window, int) or not 1 <= window <= blocks:
        raise ModelError(f"window={window!r} must be a whole number from 1 to {blocks}, the number of blocks")


def _measured(
    model: nn.Module, batches: Iterable[object], blocks: Sequence[int], states: States, dtype: torch.dtype
) -> dict[int, float]:
    found: dict[int, float] = {}
    passes: Any = by_block(model, batches, blocks)
    with closing(passes):
        for step in passes:
            found[step.block.index] = _mean(step, states, dtype)
    return found


@torch.no_grad()
def _mean(step: BlockPass, states: States, dtype: torch.dtype) -> float:
    """The mean cosine of two states of every call of a block."""
    mean = MeanCosine(dtype)
    block = step.block
    inside = False

    def compare(module: nn.Module, args: tuple[object, ...], keywords: dict[str, Any], output: object) -> None:
        nonlocal inside
        if inside:  # one of the calls that `states` makes
            return
        inside = True
        try:
            before, after = states(block, args, keywords, output)
        finally:
            inside = False
        mean.add(before, after, step.mask)

    hook = block.site.get().register_forward_hook(compare, with_kwargs=True)
    try:
        step.run(final=True)
    finally:
        hook.remove()
    return mean.value(block.site.path)
