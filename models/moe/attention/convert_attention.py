"""Turn the attention of a decoder into a mixture of its own head groups, and back."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from ...anatomy import Attention, Block, describe, is_linear
from ...anatomy.removal import check_bare
from ...errors import ModelError
from ...hub.declaration import declare, withdraw
from ..routing.padding import hand_over_masks
from ..routing.router import LinearRouter
from .config import AttnMoEConfig
from .heads import Heads
from .layer import AttentionMoE

# Shapes: N experts, R query heads and C key/value heads of an expert, H head size, D width.

Model = TypeVar("Model", bound=nn.Module)
LIKE_LLAMA = (
    "dots1",
    "gemma",
    "granite",
    "granitemoe",
    "granitemoeshared",
    "llama",
    "mistral",
    "mixtral",
    "olmoe",
    "qwen2",
    "qwen2_moe",
    "qwen3",
    "qwen3_moe",
)
"""Families of transformers whose attention is projections, head norms, full rotation, scaled product and nothing else.

Others look the same from outside, with the same names, and clip, cap, rotate a part or skip rotation in some layers.
"""
__all__ = ["AttentionMoE", "AttnMoEConfig", "attention_to_dense", "convert_attention"]


def convert_attention(
    model: Model,
    config: AttnMoEConfig,
    generator: torch.Generator | None = None,
    *,
    layers: Literal["all"] | tuple[int, ...] = "all",
) -> Model:
    """Replace the attention of these blocks, in place, by a mixture of its own head groups; return the model.

    Routers are drawn from `generator` (one seeded with `config.seed` unless given). Works on Llama, Mistral, Qwen2,
    Qwen3 and mixtures with their attention. Raises `ModelError`, and leaves the model untouched, for attention of
    another kind, heads that do not divide, a converted layer and a layer that is not there.
    """
    mix_heads(model, config, generator, layers=layers)
    hand_over_masks(model)
    declare(model, "moe")
    return model


def mix_heads(
    model: nn.Module,
    config: AttnMoEConfig,
    generator: torch.Generator | None = None,
    *,
    layers: Literal["all"] | tuple[int, ...] = "all",
) -> None:
    """`convert_attention` without the masks and the class of the model."""
    if generator is None:
        generator = torch.Generator().manual_seed(config.seed)
    chosen = _chosen(model, layers)
    for attention in chosen:
        _check(attention, config)
    made = [_moe_layer(attention, config, generator) for attention in chosen]
    for attention, layer in zip(chosen, made, strict=True):
        attention.site.replace(layer)


def attention_to_dense(model: Model) -> Model:
    """Put the dense attention together again, in place; exact when no expert was trained.

    Copies of a key/value head that training has moved apart are averaged. A model without attention experts stays.
    """
    for block in describe(model).blocks:
        if block.attention is not None and isinstance(block.attention.site.get(), AttentionMoE):
            block.attention.site.replace(_dense_layer(block.attention.site.get(), block.attention))
    hand_over_masks(model)
    withdraw(model, "moe")
    return model


def _chosen(model: nn.Module, layers: Literal["all"] | tuple[int, ...]) -> list[Attention]:
    blocks: tuple[Block, ...] = describe(model).blocks
    if layers != "all" and max(layers) >= len(blocks):
        raise ModelError(f"layers={layers!r}: the model has blocks 0..{len(blocks) - 1}")
    attentions = []
    for block in blocks:
        if layers != "all" and block.index not in layers:
            continue
        if block.attention is None:
            raise ModelError(f"{type(model).__name__} has blocks without attention, so there are no heads to route to")
        attentions.append(block.attention)
    if not attentions:
        raise ModelError(f"{type(model).__name__} has no blocks, so there are no heads to route to")
    return attentions


def _check(attention: Attention, config: AttnMoEConfig) -> None:
    module = attention.site.get()
    path = attention.site.path
    if isinstance(module, AttentionMoE):
        raise ModelError(f"{path} is a mixture of attention experts already")
    if not _computes_as_llama(module):
        raise ModelError(
            f"{path} is of class {type(module).__name__}: attention experts need the causal attention of a Llama, "
            f"Mistral or Qwen decoder of transformers, or of another that computes the same ({', '.join(LIKE_LLAMA)})"
        )
    check_bare(attention.linears)
    for site in attention.linears:
        if not is_linear(site.get()):
            raise ModelError(
                f"{site.path} is a {type(site.get()).__name__}: conversion needs a plain nn.Linear with floating-point "
                "weights (dequantise it, or remove its adapter, first)"
            )
    for name in ("q_norm", "k_norm"):
        norm = getattr(module, name, None)
        if norm is not None and norm.weight.numel() != attention.head_dim:
            raise ModelError(f"{path}.{name} spans all heads ({norm.weight.numel()} features): heads cannot be parted")
    heads = attention.num_heads
    groups = attention.num_kv_heads
    fitting = [n for n in range(1, heads + 1) if heads % n == 0 and (n % groups == 0 or groups % n == 0)]
    if config.num_experts not in fitting:
        raise ModelError(
            f"num_experts={config.num_experts} cannot share out {heads} query heads in {groups} groups at {path}: use "
            f"one of {', '.join(map(str, fitting))}"
        )


def _computes_as_llama(module: nn.Module) -> bool:
    families = {f"transformers.models.{name}.modeling_{name}" for name in LIKE_LLAMA}
    causal = getattr(module, "is_causal", False) and hasattr(module, "layer_idx")
    return causal and any(cls.__module__ in families for cls in type(module).__mro__)


@torch.no_grad()
def _moe_layer(attention: Attention, config: AttnMoEConfig, generator: torch.Generator) -> AttentionMoE:
    module = attention.site.get()
    experts = config.num_experts
    # More experts than key/value heads: each head is copied to all experts that hold some of its queries.
    copies = max(1, experts // attention.num_kv_heads)
    heads = Heads(
        experts=experts,
        query=attention.num_heads // experts,
        key_value=attention.num_kv_heads * copies // experts,
        size=attention.head_dim,
    )
    q, k, v, out = (site.get() for site in attention.linears)
    qkv_bias = None
    if q.bias is not None:
        qkv_bias = _experts(q.bias, k.bias, v.bias, heads, copies)
    router_ND = torch.zeros(experts, out.weight.shape[0], device="cpu")
    if config.router_init == "random":
        router_ND.normal_(0, 0.02, generator=generator)
    layer = AttentionMoE(
        config=config,
        router=LinearRouter(config, router_ND.to(out.weight.device, out.weight.dtype)),
        heads=heads,
        qkv=_experts(q.weight, k.weight, v.weight, heads, copies),
        qkv_bias=qkv_bias,
        out=out.weight.unflatten(1, (experts, -1)).transpose(0, 1).contiguous(),
        out_bias=None if out.bias is None else out.bias.clone(),
        original=module,
    )
    layer.requires_grad_(out.weight.requires_grad)
    return layer.train(module.training)


def _experts(q: Tensor, k: Tensor, v: Tensor, heads: Heads, copies: int) -> Tensor:
    """Rows of queries, keys and values of each expert, (N, (R + 2 C) H, ...)."""
    parts = []
    for rows, times in ((q, 1), (k, copies), (v, copies)):
        by_head = rows.unflatten(0, (-1, heads.size)).repeat_interleave(times, dim=0)
        parts.append(by_head.unflatten(0, (heads.experts, -1)))
    return torch.cat(parts, dim=1).flatten(1, 2)


def _parts(stacked: Tensor, heads: Heads, copies: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inverse of `_experts`: rows of queries, keys and values."""
    by_head = stacked.unflatten(1, (-1, heads.size))
    q, k, v = by_head.split((heads.query, heads.key_value, heads.key_value), dim=1)
    return q.flatten(0, 2), _merged(k, copies), _merged(v, copies)


def _merged(by_head: Tensor, copies: int) -> Tensor:
    """Rows (heads * H, ...) of key or value heads (N, C, H, ...) whose copies are next to each other: their mean."""
    grouped = by_head.flatten(0, 1).unflatten(0, (-1, copies))
    first = grouped[:, 0]
    # Written as a step from the first copy, the mean is exact where all are equal.
    mean = first + (grouped - first.unsqueeze(1)).mean(1)
    return mean.flatten(0, 1)


@torch.no_grad()
def _dense_layer(layer: AttentionMoE, attention: Attention) -> nn.Module:
    # Without memory: its own random weights would draw from the global generator, only to be written over.
    with torch.device("meta"):
        module: Any = layer.dense_class(layer.dense_config, layer.layer_idx)
    module = module.to_empty(device=layer.out.device).to(layer.out.dtype)
    copies = layer.heads.experts * layer.heads.key_value // attention.num_kv_heads
    linears = (module.q_proj, module.k_proj, module.v_proj)
    for linear, weight in zip(linears, _parts(layer.qkv, layer.heads, copies), strict=True):
        linear.weight.copy_(weight)
    if layer.qkv_bias is not None:
        for linear, bias in zip(linears, _parts(layer.qkv_bias, layer.heads, copies), strict=True):
            linear.bias.copy_(bias)
    module.o_proj.weight.copy_(layer.out.transpose(0, 1).flatten(1))
    if layer.out_bias is not None:
        module.o_proj.bias.copy_(layer.out_bias)
    if layer.q_norm is not None:
        module.q_norm, module.k_norm = layer.q_norm, layer.k_norm
    return module.requires_grad_(layer.out.requires_grad).train(layer.training)
