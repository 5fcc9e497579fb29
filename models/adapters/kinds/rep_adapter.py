"""RepAdapter: a linear adapter before attention and FFN, which their first matrices can absorb."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...anatomy import Anatomy, Block, Site, is_linear
from ...errors import ModelError, check_choice
from ..config import RankConfig
from ..initialisation import adapter_dtype, initialise
from ..layer import AdapterLayer
from ..shared import SharedMasked
from .parameter_tuning import check_untuned

PARTS = ("attention", "mlp")


@dataclass(frozen=True, kw_only=True)
class RepAdapterConfig(RankConfig):
    """f(A(z)) with A(z) = z + scale (U (D z + b_D) + b_U) before each attention and FFN f.

    Luo et al., arXiv 2302.08106. D is (r, d); U is (d, r) and block-diagonal with `groups` blocks: d r + d r / groups
    weights and r + d biases. There is no activation, so `merge` is exact: the first matrices W of f become
    W + scale W U D, their biases grow by scale W (U b_D + b_U). Where f has several of them (q, k, v; gate, up), they
    share one A, which is computed once for each, with a `dropout` mask (on D z + b_D) for each. `parts` names what gets
    an A.
    """

    groups: int = 2
    parts: tuple[str, ...] = PARTS
    scale: float = 1.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for part in self.parts:
            check_choice("parts", part, PARTS)
        if not isinstance(self.groups, int) or self.groups < 1 or self.r % self.groups:
            raise ModelError(f"groups={self.groups!r} must be a whole number that divides r={self.r}")

    def place(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """Wrappers around the linear layers that read the input of attention and FFN."""
        for block in self.chosen(anatomy):
            for sites in self._inputs(block):
                like = sites[0].get().weight
                adapter = RepAdapter(like.shape[1], self, generator).to(like.device, adapter_dtype(like))
                for site in sites:
                    check_untuned(anatomy.model, site)
                    yield site, RepAdapterLayer(site.get(), adapter)

    def _inputs(self, block: Block) -> list[list[Site]]:
        """The linear layers that read one input, for each part of a block."""
        groups = [_inputs_of(block, part) for part in self.parts]
        plain = True
        for sites in groups:
            plain = plain and len(sites) > 0 and all(is_linear(site.get()) for site in sites)
        if not plain:
            raise ModelError(
                f"{block.site.path} has no plain linear layers at the input of its {' and '.join(self.parts)}: "
                "choose other parts, or use LoRAConfig(targets=('linears',)), or ConvConfig for a convolutional network"
            )
        width = groups[0][0].get().in_features
        if width % self.groups:
            raise ModelError(f"groups={self.groups} does not divide {width}, the width of {block.site.path}")
        return groups


def _inputs_of(block: Block, part: str) -> list[Site]:
    """The linear layers that read the input of one part of a block; none where it lacks that part."""
    attention = block.attention
    mlp = block.mlp
    sites: tuple[Site | None, ...] = ()
    if part == "attention" and attention is not None:
        sites = (attention.q, attention.k, attention.v, attention.qkv)
    elif part == "mlp" and mlp is not None:
        sites = (mlp.gate, mlp.up, mlp.gate_up)
    return [site for site in sites if site is not None]


# Shapes: G groups, R rank of a group, W outputs of a group, D width.


class RepAdapter(nn.Module):
    """z + scale (U (D z + b_D) + b_U) on the last dimension; `project_out` holds the blocks of U below each other.

    Layers that read one input (q, k, v; gate, up) hold one, which is in a state dict once.
    """

    def __init__(self, width: int, config: RepAdapterConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.groups = config.groups
        self.scale = config.scale
        self.project_in = SharedMasked(width, config.r)
        self.project_out = SharedMasked(config.r // config.groups, width)
        self.dropout = nn.Dropout(config.dropout)
        initialise(self.project_in, self.project_out, config.init, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width) to the same shape."""
        assert self.project_out.bias is not None
        low_GR = self.dropout(self.project_in(x)).unflatten(-1, (self.groups, -1))
        up_GWR = self.project_out.effective(low_GR.dtype).unflatten(0, (self.groups, -1))
        high_D = torch.einsum("...gr,gwr->...gw", low_GR, up_GWR).flatten(-2)
        high_D = high_D + self.project_out.bias.to(high_D.dtype)
        return x + high_D * self.scale

    def matrix(self) -> tuple[Tensor, Tensor]:
        """M (width, width) and c (width) with A(z) = z + M z + c."""
        assert self.project_in.bias is not None and self.project_out.bias is not None
        up_GWR = self.project_out.effective().unflatten(0, (self.groups, -1))
        up = torch.block_diag(*up_GWR)
        matrix = self.scale * up @ self.project_in.effective()
        constant = self.scale * (up @ self.project_in.bias + self.project_out.bias)
        return matrix, constant


class RepAdapterLayer(AdapterLayer):
    """base_layer(A(z)) for a linear layer `base_layer`."""

    linear = True

    def __init__(self, base_layer: nn.Module, adapter: RepAdapter) -> None:
        super().__init__(base_layer)
        self.adapter = adapter

    def adapted(self, x: Tensor) -> Tensor:
        """The output of `base_layer` for the adapted input."""
        return self.base_layer(self.adapter(x))

    @torch.no_grad()
    def merge_into(self, base_layer: nn.Module) -> None:
        """W (z + M z + c) + b = (W + W M) z + (b + W c): `base_layer` gets a bias if it has none."""
        weight = base_layer.weight
        bias = base_layer.bias
        assert isinstance(weight, Tensor)
        matrix, constant = self.adapter.matrix()
        wide = weight.to(matrix.dtype)
        shift = wide @ constant
        if isinstance(bias, Tensor):
            bias.copy_(bias + shift)
        else:
            base_layer.bias = nn.Parameter(shift.to(weight.dtype), requires_grad=False)
        weight.copy_(wide + wide @ matrix)
