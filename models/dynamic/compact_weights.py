"""Partially dynamic weights as they are deployed: the static part once, the dynamic one for each kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from .kept import Kept
from .lent_weight import LentWeight
from .mode_partition import ModePartition
from .packed_mask import PackedMask

# Shapes: S the weight of one kernel, N its entries, K kernels or experts, B samples. D candidates are dynamic and C
# static: entries of the weight, or its rows or channels where these have one mode as a whole.

Unit = Literal["weight", "row", "channel"]
Kind = TypeVar("Kind")

DIMS = {"row": 0, "channel": 1}
"""The dimension of a weight that counts its units."""


class CompactWeights(PackedMask):
    """What a partition leaves to store of a bank (K, *S): (1 - κ) N static numbers and K κ N dynamic ones.

    `dynamic` (parameter): λ_d times what is dynamic of every kernel. `static` (parameter): λ_s times what is static, or
    None where that is pruned. For `unit` "weight" they are (K, D) and (C,), in the order of the flattened weight;
    for "row" (K, D, ...) and (C, ...), and for "channel" (K, O, D, ...) and (O, C, ...), are banks and weights by
    themselves. `mask` (buffer, boolean): (*S), or one for each row or channel.

    The state of the module has `bits` in the place of the mask, eight to a byte: with float32 it takes
    4 ((1 - κ) N + K κ N) + N / 8 bytes, with rows or channels in the place of N in the last term where they are units.

    In memory there are besides, once they were needed, the indices of the mask (8 bytes each) and, from the first
    inference on, what `lent` keeps: N numbers. No state has them, and no copy.
    """

    dynamic: nn.Parameter
    static: nn.Parameter | None

    def __init__(
        self,
        shape: Sequence[int],
        kernels: int,
        unit: Unit,
        mask: Tensor,
        *,
        dtype: torch.dtype,
        pruned: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(mask)
        self.shape = torch.Size(shape)
        self.kernels = kernels
        self.unit: Unit = unit
        place = mask.device if device is None else device
        empty = torch.empty((kernels, *self._part_shape(self.entries)), dtype=dtype, device=place)
        self.dynamic = nn.Parameter(empty)
        self.register_parameter("static", None)
        if not pruned:
            empty = torch.empty(self._part_shape(mask.numel() - self.entries), dtype=dtype, device=place)
            self.static = nn.Parameter(empty)
        self._base: Kept[Tensor] = Kept()
        self._lent: Kept[LentWeight] = Kept()

    @classmethod
    @torch.no_grad()
    def of(cls, bank: Tensor, partition: ModePartition | None) -> CompactWeights:
        """The compact form of a bank; without a partition all rows are dynamic."""
        shape = bank.shape[1:]
        scale = torch.ones((), dtype=bank.dtype)
        if partition is None:
            unit: Unit = "row"
            mask = torch.ones(shape[0], dtype=torch.bool, device=bank.device)
        else:
            unit, mask = _unit_of(partition)
            scale = partition.lambda_dynamic
        pruned = partition is not None and partition.scale == "pruned"
        made = cls(shape, len(bank), unit, mask, dtype=bank.dtype, pruned=pruned)
        made.dynamic.copy_(scale * made._cut(bank, mask, leading=1))
        if partition is not None and made.static is not None:
            made.static.copy_(partition.lambda_static * made._cut(partition.static, ~mask, leading=0))
        return made

    @torch.no_grad()
    def start_from(self, bank: Tensor, static: Tensor) -> None:
        """Start as the layer with this bank (K, *S) and this static weight (*S) would be, with factors of 1."""
        self.dynamic.copy_(self._cut(bank, self.mask, leading=1))
        if self.static is not None:
            self.static.copy_(self._cut(static, ~self.mask, leading=0))

    def sample_weights(self, fractions_BK: Tensor, factors: Tensor | None = None) -> Tensor:
        """(B, *S) the used weight of every sample, from its fractions of the kernels.

        `factors`: what the dynamic part is multiplied with in addition; broadcasts to (B, *S).
        """
        mixed = (fractions_BK @ self.dynamic.flatten(1)).unflatten(1, self.dynamic.shape[1:])
        return self._assemble(mixed, factors)

    def used_bank(self) -> Tensor:
        """(K, *S) the used weight of every kernel, static part included."""
        return self._assemble(self.dynamic)

    def stored_numbers(self) -> int:
        """(1 - κ) N + K κ N."""
        static = 0 if self.static is None else self.static.numel()
        return static + self.dynamic.numel()

    def masked_out(self) -> int:
        """Numbers that a fully dynamic bank has and this one does not store."""
        return self.kernels * self.shape.numel() - self.stored_numbers()

    def extra_repr(self) -> str:
        """Shape, kernels and what has one mode."""
        return (
            f"{tuple(self.shape)}, kernels={self.kernels}, dynamic={self.entries} of {self.mask.numel()}, {self.unit}"
        )

    def can_lend(self, like: Tensor) -> bool:
        """Whether `lent` serves inputs like this: nobody wants a gradient or a graph, on the CPU."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or torch._C._get_tracing_state():
            return False
        return type(like) is Tensor and like.is_cpu

    def lent(self, dtype: torch.dtype) -> LentWeight:
        """Weights for one sample each, of which `one_part` is written alone; anew when mask or static part change."""
        return self._of_static(self._lent, dtype, lambda: self._new_lent(dtype))

    def one_part(self, fractions_1K: Tensor) -> Tensor:
        """(D, ...) the dynamic part of one sample's weight; what `LentWeight.take` takes."""
        dynamic = self.dynamic
        return torch.mm(fractions_1K, dynamic.flatten(1)).view(dynamic.shape[1:])

    def static_like(self, part: Tensor) -> Tensor:
        """The static rows or channels, in the type of the dynamic ones; zeros where they are pruned."""
        if self.static is None:
            return part.new_zeros(self._part_shape(self.mask.numel() - self.entries))
        return self.static.to(part.dtype)

    def static_base(self, dtype: torch.dtype) -> Tensor:
        """(*S) the static part in its places and 0 elsewhere, kept until it changes; nothing may be written there."""
        return self._of_static(self._base, dtype, self._base_maker(dtype))

    def _of_static(self, kept: Kept[Kind], dtype: torch.dtype, make: Callable[[], Kind]) -> Kind:
        static = self.static
        if static is None:
            return kept.of(make, self.mask, also=dtype)
        # What was written through `.data`, which torch does not count, changes the sum, but for one that is rounded to
        # half precision.
        total = static.sum(dtype=torch.promote_types(static.dtype, torch.float32)).item()
        return kept.of(make, self.mask, static, also=(dtype, total))

    def _new_lent(self, dtype: torch.dtype) -> LentWeight:
        return LentWeight(self._base_maker(dtype), self._dim, self.true_indices())

    def _base_maker(self, dtype: torch.dtype) -> Callable[[], Tensor]:
        """Holds tensors alone, not this module, which holds it: memory is free again when the module goes."""
        return partial(_base_of, self.shape, self._layout(), self._dim, self.mask, self.static, dtype)

    def _layout(self) -> torch.Size:
        """That of a weight whose units `index_copy` finds."""
        return self.shape if self.unit in DIMS else torch.Size([self.shape.numel()])

    @property
    def _dim(self) -> int:
        return DIMS.get(self.unit, 0)

    def _assemble(self, parts: Tensor, factors: Tensor | None = None) -> Tensor:
        """(B, *S) from the dynamic parts (B, ...) and the static one."""
        dynamic_D, static_C = self.indices()
        dim = self._dim
        shape = self._layout()
        base = parts.new_zeros(shape)  # the static part is put in its places once, not once a sample
        if self.static is not None:
            base = base.index_copy(dim, static_C, self.static.to(parts.dtype))
        if factors is None:
            full = base.expand(parts.shape[0], *shape).index_copy(1 + dim, dynamic_D, parts)
            return full.view(parts.shape[0], *self.shape)
        full = parts.new_zeros(parts.shape[0], *shape).index_copy(1 + dim, dynamic_D, parts)
        return full.view(parts.shape[0], *self.shape) * factors + base.view(self.shape)

    def _part_shape(self, units: int) -> tuple[int, ...]:
        if self.unit == "weight":
            return (units,)
        shape = list(self.shape)
        shape[DIMS[self.unit]] = units
        return tuple(shape)

    def _cut(self, values: Tensor, mask: Tensor, leading: int) -> Tensor:
        """The units under the mask, of a weight behind so many `leading` dimensions."""
        if self.unit == "weight":
            return values.flatten(leading)[..., mask.flatten()]
        return values.index_select(leading + DIMS[self.unit], mask.nonzero().flatten())


def _base_of(
    shape: torch.Size, layout: torch.Size, dim: int, mask: Tensor, static: Tensor | None, dtype: torch.dtype
) -> Tensor:
    """(*S) the static units in their places, along `dim` of a weight seen as `layout`, and 0 elsewhere."""
    base = torch.zeros(layout, dtype=dtype, device=mask.device)
    if static is not None:
        base.index_copy_(dim, (~mask).flatten().nonzero().flatten(), static.detach().to(dtype))
    return base.view(shape)


def _unit_of(partition: ModePartition) -> tuple[Unit, Tensor]:
    """The largest units that have one mode each, and which of them are dynamic."""
    layout = partition.layout()
    mask = partition.mask
    if layout.structure == "weight":
        return "weight", mask.clone()
    if layout.structure == "channel":
        dynamic = torch.zeros(mask.shape[1], dtype=torch.bool, device=mask.device)
        dynamic[layout.dynamic] = True
        return "channel", dynamic
    # Where all is dynamic, or all static, every row is.
    return "row", mask.flatten(1)[:, 0].clone()
