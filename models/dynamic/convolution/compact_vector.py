"""Factors of an attention as they are deployed: rows of its last layer for the dynamic ones, constants for the rest."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..mode_partition import ModePartition
from ..packed_mask import PackedMask

# Shapes: B samples, R hidden units, C channels; D of them are dynamic and S static.


class CompactVector(PackedMask):
    """What a partition leaves to store of R weights and a bias for each of C channels.

    `weight` (D, R) and `bias` (D,): of the dynamic channels. `scale`: λ_d, a scalar, since it acts behind the sigmoid
    and is part of neither. `static` (S,): λ_s times the constants, or None where these are pruned and the factor is 0.
    `mask` (buffer, boolean, (C,)) is saved as bits: with float32 4 (D (R + 1) + S + 1) + C / 8 bytes in all.
    """

    weight: nn.Parameter
    bias: nn.Parameter
    scale: nn.Parameter
    static: nn.Parameter | None

    def __init__(
        self,
        hidden: int,
        mask: Tensor,
        *,
        dtype: torch.dtype,
        pruned: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(mask)
        self.hidden = hidden
        place = mask.device if device is None else device
        self.weight = nn.Parameter(torch.empty(self.entries, hidden, dtype=dtype, device=place))
        self.bias = nn.Parameter(torch.empty(self.entries, dtype=dtype, device=place))
        self.scale = nn.Parameter(torch.empty((), dtype=dtype, device=place))
        self.register_parameter("static", None)
        if not pruned:
            self.static = nn.Parameter(torch.empty(mask.numel() - self.entries, dtype=dtype, device=place))

    @classmethod
    @torch.no_grad()
    def of(cls, layer: nn.Linear, partition: ModePartition) -> CompactVector:
        """The compact form of sigmoid(layer(h) / τ), of which `partition` makes a part static."""
        mask = partition.mask.clone()
        pruned = partition.scale == "pruned"
        made = cls(layer.in_features, mask, dtype=layer.weight.dtype, pruned=pruned)
        made.weight.copy_(layer.weight[mask])
        made.bias.copy_(layer.bias[mask])
        made.scale.copy_(partition.lambda_dynamic)
        if made.static is not None:
            made.static.copy_(partition.lambda_static * partition.static[~mask])
        return made

    @torch.no_grad()
    def start_from(self, layer: nn.Linear, static: Tensor) -> None:
        """Start as sigmoid(layer(h) / τ) with these constants (C,) would be, with factors of 1."""
        self.weight.copy_(layer.weight[self.mask])
        self.bias.copy_(layer.bias[self.mask])
        self.scale.fill_(1.0)
        if self.static is not None:
            self.static.copy_(static[~self.mask])

    def forward(self, hidden_BR: Tensor, temperature: Tensor) -> Tensor:
        """(B, C)."""
        dynamic_BD = self.scale * torch.sigmoid(F.linear(hidden_BR, self.weight, self.bias) / temperature)
        if self.static is None:
            static_S = dynamic_BD.new_zeros(self.mask.numel() - self.entries)
        else:
            static_S = self.static.to(dynamic_BD.dtype)
        static_BS = static_S.expand(dynamic_BD.shape[0], -1)
        return torch.cat((dynamic_BD, static_BS), dim=1).index_select(1, self.order())

    def stored_numbers(self) -> int:
        """D (R + 1) + S + 1."""
        return sum(parameter.numel() for parameter in self.parameters())

    def masked_out(self) -> int:
        """Numbers that C rows with their biases have and this does not store."""
        return self.mask.numel() * (self.hidden + 1) - self.stored_numbers()

    def extra_repr(self) -> str:
        """Sizes."""
        return f"hidden={self.hidden}, dynamic={len(self.bias)} of {self.mask.numel()}"
