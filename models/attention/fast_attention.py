"""Give the attention of `attention_product` to models of timm and transformers, and take it away again."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..errors import ModelError, optional
from .attention_product import attention

NAME = "sparsebench_product"
"""What `model.set_attn_implementation` of transformers calls it."""


def use_product_attention(model: nn.Module) -> None:
    """Let a model use `attention`: faster training in bfloat16 on a CPU, the same function otherwise.

    timm's attention modules change their class, a model of transformers its attention implementation: modules and names
    of parameters stay. A model of transformers that was saved whole needs `register_product_attention` where it is
    loaded.

    Args:
        model: of timm or transformers.

    Raises:
        ModelError: it has no attention of either kind, or an implementation other than "sdpa".
    """
    if hasattr(model, "set_attn_implementation"):
        _set(model, register_product_attention(), instead_of="sdpa")
        return
    with optional():
        from timm.layers.attention import Attention

    from .timm_attention import ProductTimmAttention

    found = [module for module in model.modules() if type(module) in (Attention, ProductTimmAttention)]
    if not found:
        raise ModelError(f"{type(model).__name__} has no attention of timm, and is no model of transformers")
    for module in found:
        module.__class__ = ProductTimmAttention


def use_stock_attention(model: nn.Module) -> None:
    """Undo `use_product_attention`."""
    if hasattr(model, "set_attn_implementation"):
        _set(model, "sdpa", instead_of=NAME)
        return
    with optional():
        from timm.layers.attention import Attention

    from .timm_attention import ProductTimmAttention

    found: list[Any] = [module for module in model.modules() if isinstance(module, ProductTimmAttention)]
    for module in found:
        module.__class__ = Attention


def register_product_attention() -> str:
    """Teach transformers (5 or newer) this attention and return its name."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, _forward)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    return NAME


def _set(model: Any, implementation: str, *, instead_of: str) -> None:
    now = model.config._attn_implementation
    if now not in (implementation, instead_of):
        raise ModelError(f"{type(model).__name__} uses {now!r} attention: set_attn_implementation('sdpa') first")
    model.set_attn_implementation(implementation)


def _forward(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **keywords: Any,
) -> tuple[Tensor, None]:
    from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward

    if keywords.get("position_bias") is not None or keywords.get("softcap") is not None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout, scaling, is_causal, **keywords
        )
    groups = getattr(module, "num_key_value_groups", 1)
    key = repeat_kv(key, groups)
    value = repeat_kv(value, groups)
    queries = query.shape[2]
    if is_causal is None:
        is_causal = getattr(module, "is_causal", True)
    causal = bool(is_causal) and attention_mask is None and queries > 1
    if causal:  # only the first keys can be seen where a cache holds more
        key = key[:, :, :queries]
        value = value[:, :, :queries]
    seen = attention(query, key, value, attention_mask, dropout=dropout, causal=causal, scale=scaling)
    return seen.transpose(1, 2).contiguous(), None
