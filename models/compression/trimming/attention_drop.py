"""Attention Drop: attentions leave the model with their norms; the residual connection stays.

He et al., "What Matters in Transformers? Not All Attention is Needed" (arXiv 2406.15786), which finds attention the
most redundant part of a dense model. What is left keeps no keys and values of such a block: its cache holds one number
for each token, by which it goes on counting.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from ...anatomy import describe
from ...errors import ModelError
from .absent import without
from .dropped import Dropped, drop_parts


def droppable_attentions(model: nn.Module) -> list[int]:
    """Indices of the blocks whose attention can be dropped; one that other blocks need (T5's first) is no candidate.

    Args:
        model: a model whose anatomy is known.

    Raises:
        ModelError: there is none, or one cannot be taken out (adapters lie around it, or the view does not know its
            norms).
    """
    found: list[int] = []
    for block in describe(model).blocks:
        if block.attention is None or not block.attention.removable:
            continue
        with without(block, attention=True):
            found.append(block.index)
    if not found:
        raise ModelError(f"{type(model).__name__} has no attention that could be dropped")
    return found


def drop_attentions(model: nn.Module, blocks: Iterable[int]) -> Dropped:
    """Take the attentions of blocks out, in place.

    The model decodes with a cache as before, and saves and loads; one of transformers is then of this package's class
    for changed models.

    Args:
        model: a model whose anatomy is known.
        blocks: their indices.

    Returns:
        What went, by path, with its parameters and bytes.

    Raises:
        ModelError: one is not there or cannot be taken out. Nothing changes.

    Example: `drop_attentions(model, choose(droppable_attentions(model), 8, choice="last"))`.
    """
    return drop_parts(model, blocks, "attention")
