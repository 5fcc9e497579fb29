"""LoRA: a low-rank update beside linear layers and pointwise convolutions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...anatomy import Block, Site, is_linear
from ...errors import ModelError, check_choice
from ...sparsity.masked import Masked, MaskedConv2d, MaskedLinear
from ..config import RankConfig
from ..initialisation import adapter_dtype, initialise
from ..layer import AdapterLayer
from .low_rank import LowRankLinear

TARGETS = ("q", "k", "v", "o", "gate", "up", "down", "linears")
FEW_ROWS = 64
"""Below this the fixed cost of a function of our own outweighs what it saves."""


@dataclass(frozen=True, kw_only=True)
class LoRAConfig(RankConfig):
    """y = W x + (alpha / r) B A x with A (r, in), B (out, r), no biases (Hu et al., arXiv 2106.09685).

    `targets` are sites of the anatomy: "q", "k", "v" and "o" of the attention (also where q, k and v are one fused
    matrix: each then has its own pair), "gate", "up" and "down" of the MLP, or "linears" for every linear layer of a
    block, which for a CNN are its pointwise convolutions. `alpha` None means alpha = r; `dropout` acts on A's input.
    """

    targets: tuple[str, ...] = ("q", "v")
    alpha: float | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for target in self.targets:
            check_choice("targets", target, TARGETS)

    @property
    def scaling(self) -> float:
        """The factor of the update."""
        return 1.0 if self.alpha is None else self.alpha / self.r

    def place_in(self, block: Block, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """LoRA layers around the targets that this block has."""
        for site, spans in _targets(block, self.targets):
            yield site, LoRALayer(site.get(), spans, self, generator, site.path)


class LoRALayer(AdapterLayer):
    """A linear layer or pointwise convolution plus a low-rank update of its outputs in each span [start, stop)."""

    def __init__(
        self,
        base: nn.Module,
        spans: Sequence[tuple[int, int]],
        config: LoRAConfig,
        generator: torch.Generator,
        path: str = "base",
    ) -> None:
        super().__init__(base)
        self.spans, self.scaling = tuple(spans), config.scaling
        self.dropout = nn.Dropout(config.dropout)
        pairs = [_pair(base, stop - start, config.r, path) for start, stop in self.spans]
        self.down = nn.ModuleList(down for down, _ in pairs)
        self.up = nn.ModuleList(up for _, up in pairs)
        for down, up in pairs:
            initialise(down, up, config.init, generator)

    linear = additive = True

    def adapted(self, x: Tensor) -> Tensor:
        """The output of `base` plus the update; the adapter is computed in the dtype of the input."""
        if isinstance(self.up[0], MaskedConv2d):
            return self.base(x) + self.up[0](self.down[0](self.dropout(x))) * self.scaling
        return self._by_function(x) if self._fits_function(x) else self._by_operators(x)

    def _by_operators(self, x: Tensor) -> Tensor:
        y = self.base(x)
        out, x = y.view(-1, y.shape[-1]), self.dropout(x).to(y.dtype).reshape(-1, x.shape[-1])
        for (start, stop), down, up in self._factors():
            part, low, weight = out[:, start:stop], F.linear(x, down.to(x.dtype)), up.to(x.dtype).t()
            if not torch.is_grad_enabled():
                part.addmm_(low, weight, alpha=self.scaling)
            else:
                part = torch.addmm(part, low, weight, alpha=self.scaling)
                out = part if part.shape == out.shape else torch.slice_scatter(out, part, 1, start, stop)
        return out.view(y.shape)

    def _fits_function(self, x: Tensor) -> bool:
        """Whether `LowRankLinear` does the same: it is faster from FEW_ROWS rows on, and only for training."""
        base = self.base
        return (
            type(base) is nn.Linear
            and x.numel() >= FEW_ROWS * base.in_features
            and torch.is_grad_enabled()
            and not (self.dropout.training and self.dropout.p)
            and not (base._forward_hooks or base._forward_pre_hooks or base._backward_hooks or base._backward_pre_hooks)
            and not (torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active())
        )

    def _by_function(self, x: Tensor) -> Tensor:
        base, dtype = self.base, _computed_in(x)
        _, downs, ups = zip(*self._factors(), strict=True)
        bias = None if base.bias is None else base.bias.to(dtype)
        down = downs[0] if len(downs) == 1 else torch.cat(downs)
        y, _ = LowRankLinear.apply(x.to(dtype), base.weight.to(dtype), bias, self.scaling, self.spans, down, *ups)
        return y

    def _factors(self) -> list[tuple[tuple[int, int], Tensor, Tensor]]:
        """Span, A and B of each pair."""
        pairs: Any = zip(self.spans, self.down, self.up, strict=True)
        return [(span, down.effective(), up.effective()) for span, down, up in pairs]

    @torch.no_grad()
    def fold(self, base: nn.Module) -> None:
        """Add the update to the weight of `base`."""
        weight = base.weight
        assert isinstance(weight, Tensor)
        dtype, flat = adapter_dtype(weight), weight.flatten(1)
        for (start, stop), down, up in self._factors():
            update = up.flatten(1).to(dtype) @ down.flatten(1).to(dtype)
            flat[start:stop] = (flat[start:stop].to(dtype) + self.scaling * update).to(weight.dtype)


def _computed_in(x: Tensor) -> torch.dtype:
    """The dtype of a matrix product with x: under autocast not its own."""
    device = x.device.type
    cast = torch.is_autocast_enabled(device) and x.dtype != torch.float64
    return torch.get_autocast_dtype(device) if cast else x.dtype


def _pair(base: Any, out: int, r: int, path: str) -> tuple[Masked, Masked]:
    like = {"device": base.weight.device, "dtype": adapter_dtype(base.weight)}
    if isinstance(base, nn.Conv2d):
        if base.kernel_size != (1, 1) or base.groups != 1:
            raise ModelError(f"{path}: LoRA works on pointwise (1x1, ungrouped) convolutions, not on {base}")
        _check_rank(r, min(base.in_channels, out), path)
        down = MaskedConv2d(base.in_channels, r, 1, stride=base.stride, padding=base.padding, bias=False, **like)
        return down, MaskedConv2d(r, out, 1, bias=False, **like)
    if not is_linear(base):
        raise ModelError(f"{path} is a {type(base).__name__}: LoRA needs a plain nn.Linear or a pointwise convolution")
    _check_rank(r, min(base.in_features, out), path)
    return MaskedLinear(base.in_features, r, bias=False, **like), MaskedLinear(r, out, bias=False, **like)


def _check_rank(r: int, full: int, path: str) -> None:
    if r > full:
        raise ModelError(f"r={r} exceeds {full}, the full rank of {path}: choose a smaller r")


def _targets(block: Block, names: Sequence[str]) -> list[tuple[Site, list[tuple[int, int]]]]:
    """Each target site of a block with the spans of its outputs that get an update."""
    if "linears" in names:
        return [(site, [(0, site.get().weight.shape[0])]) for site in block.linears]
    found: list[tuple[Site, list[tuple[int, int]]]] = []
    for owner in (block.attention, block.mlp):
        sites = [(name, getattr(owner, name, None)) for name in names]
        found += [(site, [(0, site.get().weight.shape[0])]) for _, site in sites if site is not None]
    attention = block.attention
    if attention is not None and attention.qkv is not None:
        sizes = (attention.num_heads, attention.num_kv_heads, attention.num_kv_heads)
        stops = [attention.head_dim * sum(sizes[: i + 1]) for i in range(3)]
        spans = {"q": (0, stops[0]), "k": (stops[0], stops[1]), "v": (stops[1], stops[2])}
        wanted = [span for name, span in spans.items() if name in names]
        found += [(attention.qkv, wanted)] if wanted else []
    return found
