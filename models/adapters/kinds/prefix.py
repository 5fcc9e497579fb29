"""Prefix tuning: learned keys and values that every query of an attention sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...anatomy import Anatomy, Attention, Block, Prefixed, Site
from ...errors import ModelError, check_whole
from ..adapter_set import AdapterSet
from ..config import AdapterConfig, CombinedConfig
from ..initialisation import adapter_dtype
from ..layer import AdapterLayer
from ..shared import Shared, SharedLinear
from ..sites import kinds_for

# Shapes: p length of the prefix, C key/value heads, H head size, D width of the model, m width of the MLP.


@dataclass(frozen=True, kw_only=True)
class PrefixConfig(AdapterConfig):
    """softmax(q [P_k; K]^T) [P_v; V] in every head, with learned P_k, P_v (p, H) (Li and Liang, arXiv 2101.00190).

    2 p C H parameters per block. The prefix has no positions: rotary embeddings do not turn it. All weights start as
    N(0, 0.02^2) and biases as 0, so the model changes a little at once.

    Attributes:
        length: p, positions of the prefix.
        bottleneck: with m (800 in that paper) the prefix is W_2 tanh(W_1 E + b_1) + b_2 instead, E (p, D), W_1 (m, D)
            and b_1 shared by all blocks, which trains more stably; `fold_prefix` puts its result in its place
            afterwards.
    """

    length: int = 30
    bottleneck: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("length", "bottleneck"):
            value = getattr(self, field)
            if value is not None:
                check_whole(field, value)

    def place(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """One wrapper around the attention of each block."""
        trunk = None
        if self.bottleneck is not None:
            trunk = Trunk(self.length, anatomy.width, self.bottleneck, generator)
        for block in self.chosen(anatomy):
            attention = _attention(block)
            assert attention.prefixed is not None
            shape = (attention.num_kv_heads, self.length, attention.head_dim)
            prefix = Prefix(shape, generator) if trunk is None else MLPPrefix(trunk, shape, generator)
            base_layer = attention.site.get()
            like = next(base_layer.parameters())
            prefix.to(like.device, adapter_dtype(like))
            yield attention.site, PrefixLayer(base_layer, prefix, attention.prefixed)


class Prefix(nn.Module):
    """Keys and values, both (C, p, H)."""

    def __init__(self, shape: tuple[int, int, int], generator: torch.Generator) -> None:
        super().__init__()
        self.keys = nn.Parameter(_normal(shape, generator))
        self.values = nn.Parameter(_normal(shape, generator))

    def forward(self) -> tuple[Tensor, Tensor]:
        """Keys and values."""
        return self.keys, self.values


class Trunk(Shared):
    """tanh(W_1 E + b_1) (p, m)."""

    def __init__(self, length: int, width: int, bottleneck: int, generator: torch.Generator) -> None:
        super().__init__()
        self.embedding = nn.Parameter(_normal((length, width), generator))
        self.linear = _linear(width, bottleneck, generator, SharedLinear)

    def forward(self) -> Tensor:
        """The hidden states from which every block makes its prefix."""
        return self.linear(self.embedding).tanh()


class MLPPrefix(nn.Module):
    """Keys and values of one block from a `trunk` that all blocks share."""

    def __init__(self, trunk: Trunk, shape: tuple[int, int, int], generator: torch.Generator) -> None:
        super().__init__()
        self.trunk = trunk
        self.shape = shape
        heads, _, size = shape
        self.linear = _linear(trunk.linear.out_features, 2 * heads * size, generator)

    def forward(self) -> tuple[Tensor, Tensor]:
        """Keys and values."""
        heads, _, size = self.shape
        both_p2CH = self.linear(self.trunk()).unflatten(-1, (2, heads, size))
        keys_CpH, values_CpH = both_p2CH.permute(1, 2, 0, 3).unbind()
        return keys_CpH, values_CpH

    @torch.no_grad()
    def as_prefix(self) -> Prefix:
        """The same keys and values as parameters."""
        prefix = Prefix(self.shape, torch.Generator()).to(self.linear.weight)
        for parameter, value in zip((prefix.keys, prefix.values), self(), strict=True):
            parameter.copy_(value)
            parameter.requires_grad_(self.linear.weight.requires_grad)
        return prefix


class PrefixLayer(AdapterLayer):
    """The attention `base_layer`, called with further keys and values; `prefixed` knows how its family is called so."""

    def __init__(self, base_layer: nn.Module, prefix: nn.Module, prefixed: Prefixed) -> None:
        super().__init__(base_layer)
        self.prefix = prefix
        self.prefixed = prefixed

    def adapted(self, *args: Any, **keywords: Any) -> Any:
        """What `base_layer` returns, with this prefix and those of the sets directly below."""
        keys_CpH, values_CpH = self.prefix()
        inner = self.base_layer
        while isinstance(inner, PrefixLayer):
            if inner.enabled:
                more_keys, more_values = inner.prefix()
                keys_CpH = torch.cat((keys_CpH, more_keys), dim=1)
                values_CpH = torch.cat((values_CpH, more_values), dim=1)
            inner = inner.base_layer
        return self.prefixed(inner, keys_CpH, values_CpH, *args, **keywords)


def fold_prefix(adapters: AdapterSet) -> None:
    """Replace every re-parameterised prefix of a set by the keys and values it gives, without its MLP.

    The outputs stay. The set has new parameters afterwards: make a new optimizer.

    Args:
        adapters: a set of prefixes, or of several kinds with prefixes among them; other layers stay as they are.
    """
    for _, layer in adapters.layers():
        if isinstance(layer, PrefixLayer) and isinstance(layer.prefix, MLPPrefix):
            layer.prefix = layer.prefix.as_prefix()
    adapters.config = _without_mlp(adapters.config)


def _without_mlp(config: AdapterConfig) -> AdapterConfig:
    if isinstance(config, CombinedConfig):
        return replace(config, parts=tuple(map(_without_mlp, config.parts)))
    if isinstance(config, PrefixConfig):
        return replace(config, bottleneck=None)
    return config


def _attention(block: Block) -> Attention:
    attention = block.attention
    if attention is None or attention.prefixed is None:
        kind = "no attention"
        if attention is not None:
            kind = f"a {type(attention.site.get()).__name__}"
        raise ModelError(
            f"{block.site.path} has {kind}: a prefix needs the attention of a decoder, BERT, RoBERTa, ViT, DeiT, "
            "DINOv2, CLIP or SigLIP of transformers, or of a VisionTransformer of timm; without one, use "
            f"{kinds_for(block)}"
        )
    return attention


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.empty(shape).normal_(0, 0.02, generator=generator)


def _linear(inputs: int, outputs: int, generator: torch.Generator, kind: type[nn.Linear] = nn.Linear) -> nn.Linear:
    linear = kind(inputs, outputs, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        linear.weight.copy_(_normal((outputs, inputs), generator))
        linear.bias.zero_()
    return linear
