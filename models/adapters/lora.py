"""LoRA: a low-rank update beside linear layers and pointwise convolutions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..anatomy import Block, Site, is_linear
from ..errors import ModelError, check_choice
from .config import RankConfig
from .layer import AdapterLayer
from .masked import Masked, MaskedConv2d, MaskedLinear, initialise

TARGETS = ("q", "k", "v", "o", "gate", "up", "down", "linears")


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
        """The output of `base` plus the update."""
        out = self.base(x)
        x = self.dropout(x)
        if isinstance(self.up[0], MaskedConv2d):
            return out + self.up[0](self.down[0](x)) * self.scaling
        rows = out.view(-1, out.shape[-1])
        for (start, stop), down, up in zip(self.spans, self.down, self.up, strict=True):
            assert isinstance(up, Masked)
            # under autocast the parts come in two widths
            low, weight = down(x).view(rows.shape[0], -1).to(rows.dtype), up.effective().T.to(rows.dtype)
            if stop - start == rows.shape[1]:
                rows = torch.addmm(rows, low, weight, alpha=self.scaling)
            else:  # in place, which a linear layer allows: it does not need its output for its gradient
                rows[:, start:stop].addmm_(low, weight, alpha=self.scaling)
        return rows.view(out.shape)

    @torch.no_grad()
    def fold(self, base: nn.Module) -> None:
        """Add the update to the weight of `base`."""
        weight = base.weight
        assert isinstance(weight, Tensor)
        flat = weight.flatten(1)
        for (start, stop), down, up in zip(self.spans, self.down, self.up, strict=True):
            assert isinstance(down, Masked) and isinstance(up, Masked)
            dtype = torch.promote_types(weight.dtype, torch.float32)
            update = up.effective().flatten(1).to(dtype) @ down.effective().flatten(1).to(dtype)
            flat[start:stop] = (flat[start:stop].to(dtype) + self.scaling * update).to(weight.dtype)


def _pair(base: Any, out: int, r: int, path: str) -> tuple[Masked, Masked]:
    like = {"device": base.weight.device, "dtype": base.weight.dtype}
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
