"""What a model may have that not every stock architecture has, in words for messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...anatomy import Attention
from ..checkpoint.skeleton import own_router
from ..layer import MoEFFN

SIGMOID = "sigmoid scores"
CHOICE_BIAS = "a bias on the choice of experts (balance='bias')"
UNNORMALISED = "weights that do not sum to 1"
SHARED = "a shared block"
DENSE_FIRST = "dense blocks before the mixtures"
DENSE_BETWEEN = "dense blocks among the mixtures"
QK_NORM = "norms of queries and keys"
WIDE_QK_NORM = "norms of the queries, and of the keys, of all heads together"
QKV_BIAS = "biases of queries, keys and values"
ATTENTION_BIAS = "biases of all attention projections"
WINDOW = "a sliding window"
SOME_WINDOWS = "a sliding window in some blocks only"
ACTIVATION = "an activation other than SiLU"
HEAD_WIDTH = "heads that together are not as wide as the model"

SANDWICH = "norms both before and after each layer"
POST_NORMS = "norms after each layer in the place of those before"
OTHER_NORMS = "norms that are no RMS norms with weights"
SOFT_CAPS = "soft caps of scores and logits"
OWN_ROTATION = "rotary positions that are not the same in all blocks"
PARTIAL_ROTATION = "rotary positions in a part of each head"
MULTIPLIERS = "multipliers of embeddings, blocks, scores or logits"


def scaled(kind: str) -> str:
    """The feature of rotary positions that are scaled in a way that transformers calls `kind`."""
    return f"rotary positions scaled by {kind!r}"


SCALED = frozenset(map(scaled, ("linear", "dynamic", "yarn", "longrope", "llama3")))
COMMON = SCALED | {ACTIVATION, HEAD_WIDTH}
"""What transformers heeds in every architecture here."""


def attention_features(attentions: Sequence[Attention]) -> dict[str, bool]:
    """Which features the attentions of a model have."""
    biased = False
    out_biased = False
    wide = False
    narrow = False
    for attention in attentions:
        biased |= any(site.get().bias is not None for site in attention.linears)
        out_biased |= attention.o is not None and attention.o.get().bias is not None
        norm = getattr(attention.site.get(), "q_norm", None)
        narrow |= norm is not None and norm.weight.numel() == attention.head_dim
        wide |= norm is not None and norm.weight.numel() != attention.head_dim
    return {
        QK_NORM: narrow,
        WIDE_QK_NORM: wide,
        QKV_BIAS: biased and not out_biased,
        ATTENTION_BIAS: out_biased,
    }


def has_choice_bias(layer: MoEFFN) -> bool:
    """Whether the choice of experts has a bias that is not zero."""
    bias = layer.router.choice_bias
    return bias is not None and bool(bias.value.any())


def routing_of(layer: MoEFFN) -> tuple[str, bool, int, int]:
    """Score ("softmax" or "sigmoid"), whether the weights sum to 1, top_k, N."""
    config = layer.config
    score = "sigmoid" if config.score == "sigmoid" else "softmax"
    renorm = config.renorm or config.score in ("topk_softmax", "none")
    return score, renorm, config.top_k, len(layer.experts.sizes)


def foreign_parts(layer: MoEFFN) -> Iterator[str]:
    """Parts of a mixture that no stock architecture has, in words."""
    config = layer.config
    if own := own_router(layer.router, config.router):
        yield own
    elif layer.router.linear_weight() is None:
        yield f"a router of the kind {config.router!r}"
    if config.score == "none" and config.top_k > 1:
        yield "equal weights of the chosen experts (score='none')"
    if layer.alignment is not None and layer.alignment.offset.any():
        yield "an offset (align=True)"
    biased = layer.down_bias is not None or layer.experts.bias is not None
    if biased or (layer.shared is not None and layer.shared.bias is not None):
        yield "biases in the feed-forward layers"
    if config.score != "sigmoid" and has_choice_bias(layer):
        yield "a bias on the choice of experts (balance='bias') by softmax scores"
