"""Feature vectors of molecules from a Graph2Seq, the same at every call (GraphsGPT, arXiv 2402.02464)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from .model.encoder import Graph2Seq
from .tokens.batch import TokenBatch

# Shapes: B molecules, L tokens, K words, D width.

Pool = Literal["first", "mean", "concat"]
"""What of the words is the feature: word 0 (published), their mean, or all, one after the other."""


def words_of(encoder: Graph2Seq, batch: TokenBatch) -> Tensor:
    """Graph words (B, K, D), from canonical ids."""
    states, seen = encoder.embed_input(batch, encoder.config.num_words, canonical=True)
    for layer in encoder.layers:
        states = layer(states, seen[:, None, None])
    return encoder.norm(states[:, : encoder.config.num_words])


def pooled(words: Tensor, pool: Pool) -> Tensor:
    """Features (B, D), or (B, K D) for "concat", from words (B, K, D); linear in them."""
    if pool == "concat":
        return words.flatten(1)
    if pool == "mean":
        return words.mean(1)
    return words[:, 0]


def width_of(encoder: Graph2Seq, pool: Pool) -> int:
    """Width of the features."""
    if pool == "concat":
        return encoder.config.num_words * encoder.config.hidden_size
    return encoder.config.hidden_size
