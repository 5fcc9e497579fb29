"""Feature vectors of molecules from a Graph2Seq, the same at every call (GraphsGPT, arXiv 2402.02464)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from ..errors import ModelError
from .model.encoder import Graph2Seq
from .tokens.batch import TokenBatch
from .tokens.vocabulary import Vocabulary

# Shapes: B molecules, L tokens, K words, D width.

Pool = Literal["first", "mean", "concat"]
"""What of the words is the feature: word 0 (published), their mean, or all, one after the other."""


def own_vocabulary(encoder: Graph2Seq) -> Vocabulary:
    """The vocabulary of the model's configuration. Raises `ModelError` if it has none."""
    if encoder.config.vocabulary is None:
        raise ModelError("the model's configuration has no vocabulary: make it by GraphsGPTConfig.of(vocabulary)")
    return Vocabulary.from_dict(encoder.config.vocabulary)


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
    return words[:, 0] if pool == "first" else words.mean(1)


def width_of(encoder: Graph2Seq, pool: Pool) -> int:
    """Width of the features."""
    return encoder.config.hidden_size * (encoder.config.num_words if pool == "concat" else 1)
