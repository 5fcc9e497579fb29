"""Turn the attention of a decoder into a mixture of its own head groups, and back."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from ...anatomy import Attention, Block, describe, is_linear
from ...errors import ModelError
from ..routing.router import LinearRouter
from .config import AttnMoEConfig
from .heads import Heads
from .layer import AttentionMoE

# Shapes: N experts, R query heads and C key/value heads of an expert, H head size, D width.

Model = TypeVar("Model", bound=nn.Module)
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
    generator = torch.Generator().manual_seed(config.seed) if generator is None else generator
    chosen = _chosen(model, layers)
    for attention in chosen:
        _check(attention, config)
    made = [_moe_layer(attention, config, generator) for attention in chosen]
    for attention, layer in zip(chosen, made, strict=True):
        attention.site.replace(layer)
    return model


def attention_to_dense(model: Model) -> Model:
    """Put the dense attention together again, in place; exact when no expert was trained.

    Copies of a key/value head that training has moved apart are averaged. A model without attention experts stays.
    """
    for block in describe(model).blocks:
        if block.attention is not None and isinstance(block.attention.site.get(), AttentionMoE):
            block.attention.site.replace(_dense_layer(block.attention.site.get(), block.attention))
    return model


def _chosen(model: nn.Module, layers: Literal["all"] | tuple[int, ...]) -> list[Attention]:
    blocks: tuple[Block, ...] = describe(model).blocks
    if layers != "all" and max(layers) >= len(blocks):
        raise ModelError(f"layers={layers!r}: the model has blocks 0..{len(blocks) - 1}")
    found = [block.attention for block in blocks if layers == "all" or block.index in layers]
    attentions = [attention for attention in found if attention is not None]
    if len(attentions) < len(found) or not found:
        raise ModelError(f"{type(model).__name__} has blocks without attention, so there are no heads to route to")
    return attentions


def _check(attention: Attention, config: AttnMoEConfig) -> None:
    module, path = attention.site.get(), attention.site.path
    if isinstance(module, AttentionMoE):
        raise ModelError(f"{path} is a mixture of attention experts already")
    if not getattr(module, "is_causal", False) or not hasattr(module, "layer_idx") or attention.q is None:
        raise ModelError(
            f"{path} is of class {type(module).__name__}: attention experts need the causal attention of a Llama, "
            "Mistral or Qwen decoder of transformers"
        )
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
    heads, groups, experts = attention.num_heads, attention.num_kv_heads, config.num_experts
    fitting = [n for n in range(1, heads + 1) if heads % n == 0 and (n % groups == 0 or groups % n == 0)]
    if experts not in fitting:
        raise ModelError(
            f"num_experts={experts} cannot share out {heads} query heads in {groups} groups at {path}: use one of "
            f"{', '.join(map(str, fitting))}"
        )


@torch.no_grad()
def _moe_layer(attention: Attention, config: AttnMoEConfig, generator: torch.Generator) -> AttentionMoE:
    module, experts = attention.site.get(), config.num_experts
    copies = max(1, experts // attention.num_kv_heads)
    heads = Heads(
        experts, attention.num_heads // experts, attention.num_kv_heads * copies // experts, attention.head_dim
    )
    linears = [site.get() for site in (attention.q, attention.k, attention.v) if site is not None]
    out = module.o_proj.weight
    rows = torch.zeros(experts, out.shape[0])
    if config.router_init == "random":
        rows.normal_(0, 0.02, generator=generator)
    layer = AttentionMoE(
        config=config,
        router=LinearRouter(config, rows.to(out.device, out.dtype)),
        heads=heads,
        qkv=_experts([linear.weight for linear in linears], heads, copies),
        qkv_bias=None if linears[0].bias is None else _experts([linear.bias for linear in linears], heads, copies),
        out=out.unflatten(1, (experts, -1)).transpose(0, 1).contiguous(),
        out_bias=None if module.o_proj.bias is None else module.o_proj.bias.clone(),
        original=module,
    )
    layer.requires_grad_(out.requires_grad)
    return layer.train(module.training)


def _experts(qkv: list[Tensor], heads: Heads, copies: int) -> Tensor:
    """Rows of queries, keys and values of each expert, (N, (R + 2 C) H, ...)."""
    parts = [part.unflatten(0, (-1, heads.size)) for part in qkv]
    parts[1:] = [part.repeat_interleave(copies, dim=0) for part in parts[1:]]
    return torch.cat([part.unflatten(0, (heads.experts, -1)) for part in parts], dim=1).flatten(1, 2)


def _parts(stacked: Tensor, heads: Heads, copies: int) -> list[Tensor]:
    """Inverse of `_experts`."""
    rows = stacked.unflatten(1, (-1, heads.size)).split((heads.query, heads.key_value, heads.key_value), dim=1)
    q, *kv = (part.flatten(0, 1) for part in rows)
    grouped = [part.unflatten(0, (-1, copies)) for part in kv]
    first = [part[:, 0] for part in grouped]
    # The mean, exact where the copies are equal.
    means = [one + (part - one.unsqueeze(1)).mean(1) for one, part in zip(first, grouped, strict=True)]
    return [part.flatten(0, 1) for part in (q, *means)]


@torch.no_grad()
def _dense_layer(layer: AttentionMoE, attention: Attention) -> nn.Module:
    kind, config, index = layer.dense
    with torch.device("meta"):
        module: Any = kind(config, index)
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
