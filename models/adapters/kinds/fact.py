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
        """A wrapper around each linear layer of the blocks."""
        width, sites = anatomy.width, [site for block in self.chosen(anatomy) for site in block.linears]
        if not sites:
            raise ModelError(f"the blocks of {type(anatomy.model).__name__} have no linear layers: FacT has no place")
        for site in sites:
            base = site.get()
            if not is_linear(base) or base.in_features % width or base.out_features % width:
                raise ModelError(
                    f"{site.path} is {base}: FacT needs plain linear layers whose sizes are multiples of the width "
                    f"{width}; use LoRAConfig(targets=('linears',))"
                )
        like = sites[0].get().weight
        u, v = MaskedLinear(width, self.r, bias=False), MaskedLinear(self.r, width, bias=False)
        initialise(u, v, self.init, generator)
        u, v = (layer.to(like.device, adapter_dtype(like)) for layer in (u, v))
        for site in sites:
            base = site.get()
            core = MaskedLinear(base.in_features // width * self.r, base.out_features // width * self.r, bias=False)
            fill(core, self.init, generator)
            core.to(base.weight.device, adapter_dtype(base.weight))
            yield site, FacTLayer(base, u, core, v, self.scale, self.dropout)


class FacTLayer(AdapterLayer):
    """A linear layer plus tiles scale V C U; `core` (tiles out * r, tiles in * r) holds all C of the layer."""

    linear = additive = True

    def __init__(
        self,
        base: nn.Module,
        u: MaskedLinear,
        core: MaskedLinear,
        v: MaskedLinear,
        scale: float,
        dropout: float,
    ) -> None:
        super().__init__(base)
        self.u, self.core, self.v = u, core, v
        self.scale, self.dropout = scale, nn.Dropout(dropout)

    def adapted(self, x: Tensor) -> Tensor:
        """The output of `base` plus the update."""
        low = self.u(x.unflatten(-1, (-1, self.u.in_features))).flatten(-2)
        low = self.dropout(self.core(low)).unflatten(-1, (-1, self.v.in_features))
        return self.base(x) + self.v(low).flatten(-2) * self.scale

    @torch.no_grad()
    def fold(self, base: nn.Module) -> None:
        """Add the update to the weight of `base`."""
        weight = base.weight
        assert isinstance(weight, Tensor)
        r, v, u = self.v.in_features, self.v.effective(), self.u.effective()
        cores = self.core.effective().unflatten(1, (-1, r)).unflatten(0, (-1, r))
        update = torch.einsum("dr,orns,se->odne", v, cores, u)
        weight.copy_(weight + self.scale * update.flatten(2).flatten(0, 1))
