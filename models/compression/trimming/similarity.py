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

import math
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...anatomy import describe
from ...calibration.by_block import BlockPass, by_block
from ...errors import ModelError, check_choice
from .states import States, Window, around_attention, around_mlp, mlp_alone

Metric = Literal["norm_moe", "moe"]
PRECISIONS = (torch.float32, torch.float64, torch.bfloat16)

# Shapes: T real tokens of all rows, B rows, L tokens of a row, D width.


def layer_similarity(
    model: nn.Module,
    batches: Iterable[object],
    blocks: Sequence[int],
    *,
    metric: Metric = "norm_moe",
    dtype: torch.dtype = torch.float32,
) -> dict[int, float]:
    """Mean cosine before and after the FFN of blocks.

    Args:
        model: a model whose anatomy is known.
        batches: calibration data, run as `model(**batch)` for mappings, else `model(batch)`.
        blocks: indices of blocks with an FFN.
        metric: "norm_moe" compares the hidden states around norm and FFN, "moe" the FFN's own input and output.
        dtype: in which the cosines are taken.

    Returns:
        The mean by index of the block, over the real tokens of all batches.

    Raises:
        ModelError: an FFN that cannot be taken out, data without tokens or with NaN.

    Example: `layer_similarity(mixtral, batches, droppable_layers(mixtral))`.
    """
    check_choice("metric", metric, ("norm_moe", "moe"))
    states = around_mlp if metric == "norm_moe" else mlp_alone
    return _measured(model, batches, blocks, states, dtype)


def attention_similarity(
    model: nn.Module, batches: Iterable[object], blocks: Sequence[int], *, dtype: torch.dtype = torch.float32
) -> dict[int, float]:
    """Mean cosine before and after the attention of blocks, as `layer_similarity` measures FFNs.

    Args:
        model: a model whose anatomy is known.
        batches: calibration data, run as `model(**batch)` for mappings, else `model(batch)`.
        blocks: indices of blocks with an attention.
        dtype: in which the cosines are taken.

    Returns:
        The mean by index of the block, over the real tokens of all batches.

    Raises:
        ModelError: an attention that cannot be taken out, data without tokens or with NaN.
    """
    return _measured(model, batches, blocks, around_attention, dtype)


def block_similarity(
    model: nn.Module, batches: Iterable[object], *, window: int = 1, dtype: torch.dtype = torch.float32
) -> dict[int, float]:
    """Mean cosine of what enters each window of neighbouring blocks and what leaves it.

    The hidden states of all batches are held `window` times.

    Args:
        model: a model whose anatomy is known.
        batches: calibration data, run as `model(**batch)` for mappings, else `model(batch)`.
        window: blocks in a window.
        dtype: in which the cosines are taken.

    Returns:
        The mean by the index of the window's first block. A window has none where a block in it gets something else
        than what the one before gave (the next stage of a Swin).

    Raises:
        ModelError: a window that does not fit into the model, data without tokens or with NaN.
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


def cosine(a_TD: Tensor, b_TD: Tensor) -> Tensor:
    """Cosines of vectors (T,), in their own dtype. Two zero vectors are alike (1), one is unlike any other (0)."""
    product_T = (a_TD * b_TD).sum(-1)
    norm_a_T = a_TD.norm(dim=-1)
    norm_b_T = b_TD.norm(dim=-1)
    both_zero_T = (norm_a_T == 0) & (norm_b_T == 0)
    tiny = torch.finfo(a_TD.dtype).tiny
    # One after the other: the product of two small norms would underflow.
    cosine_T = product_T / norm_a_T.clamp_min(tiny) / norm_b_T.clamp_min(tiny)
    return torch.where(both_zero_T, torch.ones_like(cosine_T), cosine_T)


class MeanCosine:
    """Takes pairs of hidden states batch by batch.

    Each cosine is computed in `dtype`, the mean in float64. In bfloat16, which the released code came to with many
    samples, cosines near 1 lie 0.004 apart, so that blocks tie. Raises `ModelError` for another dtype.
    """

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        if dtype not in PRECISIONS:
            raise ModelError(f"dtype={dtype} must be torch.float32, torch.float64 or, as released, torch.bfloat16")
        self.dtype = dtype
        self.total = 0.0
        self.tokens = 0

    def add(self, a_BLD: Tensor, b_BLD: Tensor, real_BL: Tensor | None = None) -> None:
        """Take the real tokens of a batch; None: all are. Tokens may lie in a grid, (B, H, W, D)."""
        if real_BL is None:
            real_BL = torch.ones(a_BLD.shape[:-1], dtype=torch.bool, device=a_BLD.device)
        a_TD = a_BLD[real_BL].to(self.dtype)
        b_TD = b_BLD[real_BL].to(self.dtype)
        self.total += float(cosine(a_TD, b_TD).double().sum())
        self.tokens += len(a_TD)

    def value(self, name: str) -> float:
        """The mean. Raises `ModelError`, with the name of what was measured, without tokens and for NaN or infinity."""
        if self.tokens == 0:
            raise ModelError(f"the calibration data hold no token for {name}: pass at least one unmasked token")
        if not math.isfinite(self.total):
            raise ModelError(f"hidden states at {name} are NaN or infinite on the calibration data: check the model")
        return self.total / self.tokens
