"""FacT: one low-rank factorisation of the updates of all matrices of the model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...anatomy import Anatomy, Site, is_linear
from ...errors import ModelError
from ...sparsity.masked import MaskedLinear
from ..config import RankConfig
from ..initialisation import adapter_dtype, fill, initialise
from ..layer import AdapterLayer
from ..shared import SharedMasked
from ..sites import check_no_fused_experts, kinds_for


@dataclass(frozen=True, kw_only=True)
class FacTConfig(RankConfig):
    """FacT-TT (Jie and Deng, arXiv 2212.03145): every d x d tile of every linear layer gets + scale V C_i U.

    U (r, d) and V (d, r) are shared by all tiles of all blocks, C_i (r, r) belongs to tile i; a qkv matrix has 3 tiles,
    the matrices of an FFN with 4 d hidden units 4 each: 2 d r + 12 L r^2 parameters for L blocks. With init="zero_up"
    V starts as 0. `dropout` acts on C_i U x. Sizes of all linear layers must be multiples of d.
    """

    r: int = 16
    scale: float = 1.0
    dropout: float = 0.0

    def place(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """A wrapper around each linear layer of the blocks.

        Args:
            anatomy: the model.
            generator: draws what U, V and the cores start from.

        Raises:
            ModelError: there are no linear layers, some are fused experts, or sizes are not multiples of the width.
        """
        width = anatomy.width
        sites: list[Site] = []
        for block in self.chosen(anatomy):
            sites.extend(block.linears)
        if not sites:
            name = type(anatomy.model).__name__
            raise ModelError(f"the blocks of {name} have no linear layers for FacT: use {kinds_for(*anatomy.blocks)}")
        check_no_fused_experts(self.chosen(anatomy), "FacT")
        for site in sites:
            _check_tiles(site, width)
        like = sites[0].get().weight
        u = SharedMasked(width, self.r, bias=False)
        v = SharedMasked(self.r, width, bias=False)
        initialise(u, v, self.init, generator)
        u.to(like.device, adapter_dtype(like))
        v.to(like.device, adapter_dtype(like))
        for site in sites:
            base_layer = site.get()
            tiles_in = base_layer.in_features // width
            tiles_out = base_layer.out_features // width
            core = MaskedLinear(tiles_in * self.r, tiles_out * self.r, bias=False)
            fill(core, self.init, generator)
            core.to(base_layer.weight.device, adapter_dtype(base_layer.weight))
            yield site, FacTLayer(base_layer, u, core, v, self.scale, self.dropout)


def _check_tiles(site: Site, width: int) -> None:
    layer = site.get()
    if not is_linear(layer) or layer.in_features % width or layer.out_features % width:
        raise ModelError(
            f"{site.path} is {layer}: FacT needs plain linear layers whose sizes are multiples of the width {width}; "
            "use LoRAConfig(targets=('linears',))"
        )


# Shapes: O, I tiles out and in, D width of a tile, R rank.


class FacTLayer(AdapterLayer):
    """A linear layer plus tiles scale V C U; `core` (tiles out * r, tiles in * r) holds all C of the layer."""

    linear = True
    additive = True

    def __init__(
        self,
        base_layer: nn.Module,
        u: MaskedLinear,
        core: MaskedLinear,
        v: MaskedLinear,
        scale: float,
        dropout: float,
    ) -> None:
        super().__init__(base_layer)
        self.u = u
        self.core = core
        self.v = v
        self.scale = scale
        self.dropout = nn.Dropout(dropout)

    def adapted(self, x: Tensor) -> Tensor:
        """The output of `base_layer` plus the update."""
        tiles_in = x.unflatten(-1, (-1, self.u.in_features))  # (..., I, D)
        low = self.u(tiles_in).flatten(-2)  # (..., I * R)
        low = self.dropout(self.core(low)).unflatten(-1, (-1, self.v.in_features))  # (..., O, R)
        return self.base_layer(x) + self.v(low).flatten(-2) * self.scale

    @torch.no_grad()
    def merge_into(self, base_layer: nn.Module) -> None:
        """Add scale V C U to each tile of the weight."""
        weight = base_layer.weight
        assert isinstance(weight, Tensor)
        r = self.v.in_features
        v_DR = self.v.effective()
        u_RD = self.u.effective()
        core_ORIR = self.core.effective().unflatten(1, (-1, r)).unflatten(0, (-1, r))
        update_ODID = torch.einsum("dr,orns,se->odne", v_DR, core_ORIR, u_RD)
        weight.copy_(weight + self.scale * update_ODID.flatten(2).flatten(0, 1))
