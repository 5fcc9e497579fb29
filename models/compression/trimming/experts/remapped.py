"""Experts behind a table: the router chooses among more experts than there are.

Its rows stay, and each stands for an expert, which it may share with others (merged experts), for a constant (an expert
that was replaced by its mean output), or for nothing (a dropped expert whose row was preserved).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ....anatomy import MLP, Experts, Site, Wrapper
from ....errors import ModelError

# Shapes: T tokens, D width, K chosen experts, N rows of the router, M constants, P choices of a constant.

NONE = -1
"""In a table: no expert, and no constant."""


class RemappedExperts(Wrapper):
    """Stands around the experts module of a mixture, `base_layer`, and is called as that is.

    `table` (N + 1,) int64: the expert of each row of the router; -1 for none, -2 - m for the constant m. The last entry
    is for an index of N, which stands for no expert. `constants` (M, D): what is added, times the weight, in the place
    of an expert's output; None without any.
    """

    table: Tensor

    def __init__(self, experts: nn.Module, table: Tensor, constants: Tensor | None = None) -> None:
        super().__init__(experts)
        self.register_buffer("table", table)
        trains = any(parameter.requires_grad for parameter in experts.parameters())
        self.constants = None if constants is None else nn.Parameter(constants, requires_grad=trains)

    def forward(self, x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor) -> Tensor:
        """Sum over the chosen rows of weight times what the row stands for, (T, D)."""
        target_TK = self.table[index_TK]
        there_TK = target_TK >= 0
        out_TD = self._experts(x_TD, target_TK, weight_TK, there_TK)
        if self.constants is not None:
            out_TD = out_TD + self._constants(self.constants, x_TD, target_TK, weight_TK)
        return out_TD

    def _experts(self, x_TD: Tensor, target_TK: Tensor, weight_TK: Tensor, there_TK: Tensor) -> Tensor:
        if getattr(self.base_layer, "skips_none", False):
            sizes: Sequence[int] = self.base_layer.sizes  # type: ignore[assignment]
            return self.base_layer(x_TD, target_TK.masked_fill(~there_TK, len(sizes)), weight_TK)
        # Experts of transformers know no index for none: the first one gets the token, with a weight of 0.
        return self.base_layer(x_TD, target_TK.clamp_min(0), weight_TK.masked_fill(~there_TK, 0))

    def _constants(self, constants_MD: Tensor, x_TD: Tensor, target_TK: Tensor, weight_TK: Tensor) -> Tensor:
        token_P, place_P = (target_TK < NONE).nonzero(as_tuple=True)
        row_P = NONE - 1 - target_TK[token_P, place_P]
        weight_P1 = weight_TK[token_P, place_P].unsqueeze(1).to(constants_MD.dtype)
        out_TD = torch.zeros_like(x_TD)
        return out_TD.index_add(0, token_P, (constants_MD[row_P] * weight_P1).to(x_TD.dtype))

    def extra_repr(self) -> str:  # noqa: D102 - torch's own hook
        constants = 0 if self.constants is None else len(self.constants)
        return f"rows={len(self.table) - 1}, constants={constants}"


@torch.no_grad()
def remap(mlp: MLP, kept: Sequence[int], targets: Sequence[int], constants: Tensor | None = None) -> None:
    """Keep these experts of a mixture, in place, and let the row n of the router stand for `targets[n]`.

    Targets are places in `kept`, -1 for none, -2 - m for the constant m. Raises `ModelError`, and changes nothing,
    where a table is there already, and for experts that are not called with (x, index, weight).
    """
    experts = check_remap(mlp)
    assert experts.module is not None
    table = torch.tensor([*targets, NONE], dtype=torch.int64, device=experts.weights(0).down.device)
    experts.keep_tensors(kept)
    site: Site = experts.module
    site.replace(RemappedExperts(site.get(), table, constants))


def check_remap(mlp: MLP) -> Experts:
    """The experts of a mixture that can be put behind a table.

    Raises:
        ModelError: as `remap` does.
    """
    if mlp.experts is None or mlp.experts.module is None:
        raise ModelError(f"{mlp.site.path} has no experts that are called with (x, index, weight)")
    if mlp.experts.table is not None:
        raise ModelError(
            f"{mlp.site.path}: the router already chooses among more experts than there are (they were merged, "
            "replaced, or dropped with their rows preserved); drop more of them with preserve_gate"
        )
    return mlp.experts
