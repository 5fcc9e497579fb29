"""Attention with further keys and values that every query sees: the ways in which the families are called so."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..anatomy import CACHE_NAMES, Wrapper
from ..errors import ModelError

# Shapes: B batch rows, S queries of a row, L keys, C key/value heads, p further keys, H head size.


class Prepended:
    """What an attention of transformers fills as its cache, and then sees with `keys` and `values` (C, p, H) in front.

    `cache` is the real one, if there is any; it never holds the prefix. `square`: the queries are the first keys, and
    what lies after them in a preallocated cache is empty.
    """

    def __init__(self, cache: Any, keys: Tensor, values: Tensor, *, square: bool) -> None:
        self.cache = cache
        self.keys = keys
        self.values = values
        self.square = square

    def update(self, keys: Tensor, values: Tensor, *args: Any, **keywords: Any) -> tuple[Tensor, Tensor]:
        """The prefix and all keys and values (B, C, L, H) so far."""
        new = keys.shape[2]
        if self.cache is not None:
            keys, values = self.cache.update(keys, values, *args, **keywords)
        if self.square:
            keys = keys[:, :, :new]
            values = values[:, :, :new]
        return joined(self.keys, keys), joined(self.values, values)


def through_cache(
    module: nn.Module,
    keys: Tensor,
    values: Tensor,
    hidden_states: Tensor,
    attention_mask: Tensor | None = None,
    *,
    causal: bool,
    **keywords: object,
) -> Any:
    """Call an attention of transformers that takes a cache: it projects, rotates and caches as it always does.

    Raises `ModelError` for attention implementations whose mask is not a tensor of 4 dimensions.
    """
    if attention_mask is not None and not (isinstance(attention_mask, Tensor) and attention_mask.dim() == 4):
        raise ModelError(
            "a prefix needs the attention implementation 'sdpa' or 'eager': call model.set_attn_implementation('sdpa')"
        )
    mask = extended_mask(attention_mask, hidden_states, keys.shape[1], causal=causal)
    name = next((name for name in CACHE_NAMES if name in keywords), "cache")
    square = mask is not None and attention_mask is None
    keywords[name] = Prepended(keywords.get(name), keys, values, square=square)
    return module(hidden_states=hidden_states, attention_mask=mask, **keywords)


def through_interface(
    module: nn.Module,
    keys: Tensor,
    values: Tensor,
    hidden_states: Tensor,
    attention_mask: Tensor | None = None,
    **keywords: object,
) -> tuple[Tensor, Tensor | None]:
    """Call an attention of transformers that sees images: projections, and the attention function that is set."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
    from transformers.models.vit.modeling_vit import eager_attention_forward

    vit = unwrapped(module)
    q, k, v = (
        projection(hidden_states).unflatten(-1, (-1, vit.head_dim)).transpose(1, 2)
        for projection in (vit.q_proj, vit.k_proj, vit.v_proj)
    )
    attend = ALL_ATTENTION_FUNCTIONS.get_interface(vit.config._attn_implementation, eager_attention_forward)
    # ViT, DeiT and DINOv2 have the first name of each pair, CLIP and SigLIP the second.
    dropout = _first(vit, "attention_dropout", "dropout")
    project = _first(vit, "o_proj", "out_proj")
    out, weights = attend(
        vit,
        q,
        joined(keys, k),
        joined(values, v),
        extended_mask(attention_mask, hidden_states, keys.shape[1], causal=False),
        dropout=dropout if vit.training else 0.0,
        scaling=_first(vit, "scaling", "scale"),
        **keywords,
    )
    return project(out.flatten(2)), weights


def _first(module: nn.Module, *names: str) -> Any:
    """The attribute that a module has under one of these names."""
    found = next(name for name in names if hasattr(module, name))
    return getattr(module, found)


def extended_mask(mask: Tensor | None, x: Tensor, count: int, *, causal: bool) -> Tensor | None:
    """A mask (..., S, L), boolean or additive, for L keys behind `count` visible ones; x (B, S, width).

    Without a mask all keys are visible, or, for S > 1 causal queries, those up to their own place: then S = L.
    """
    length = x.shape[1]
    if mask is None:
        if not causal or length == 1:
            return None
        mask = x.new_ones(1, 1, length, length, dtype=torch.bool).tril()
    visible = mask.dtype == torch.bool  # True lets a query see; so does 0, which an additive mask has there
    before = mask.new_full((*mask.shape[:-1], count), visible)
    return torch.cat((before, mask), dim=-1)


def joined(prefix: Tensor, states: Tensor) -> Tensor:
    """A prefix (C, p, H) before keys or values (B, C, L, H), in their dtype."""
    every_row = prefix.to(states.dtype).expand(len(states), -1, -1, -1)
    return torch.cat((every_row, states), dim=2)


def unwrapped(module: nn.Module) -> Any:
    """The attention itself, for families whose attention is computed from its parts.

    Args:
        module: what stands in its place.

    Raises:
        ModelError: a wrapper stands there, which computing from the parts would pass over.
    """
    if isinstance(module, Wrapper):
        raise ModelError(f"a {type(module).__name__} lies between a prefix and its attention: attach the prefix last")
    return module
