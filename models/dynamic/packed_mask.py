"""A mask that is saved as bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError
from ..sparsity.masked import pack_mask, unpack_mask
from ..state_loading import PreparesLoading, Problems
from .kept import Kept


class PackedMask(PreparesLoading):
    """A module with a boolean `mask`, whose state has `bits` (uint8) in its place, eight entries to a byte.

    `entries`: how many are True. Who puts other `bits` there without `load_state_dict` calls `read_bits`.
    """

    mask: Tensor
    bits: Tensor
    entries: int

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("bits", pack_mask(mask).to(mask.device))
        self.register_buffer("mask", mask, persistent=False)
        self.entries = int(mask.count_nonzero())
        self._true: Kept[Tensor] = Kept()
        self._false: Kept[Tensor] = Kept()
        self._sorted: Kept[Tensor] = Kept()
        self._order: Kept[Tensor] = Kept()

    def read_bits(self, name: str) -> None:
        """Take the mask out of `bits`, which were read from a file.

        Args:
            name: of this module, for the error.

        Raises:
            ModelError: they are of a mask with another number of entries, or were not read into memory.
        """
        if self.bits.is_meta:
            raise ModelError(f"the mask of {name} was not read into memory: open the model without weights on a disk")
        mask = unpack_mask(self.bits, self.mask.shape)
        if int(mask.count_nonzero()) != self.entries:
            raise ModelError(f"the mask of {name} has not {self.entries} entries: the folder is damaged")
        self.mask = mask.to(self.bits.device)

    def indices(self) -> tuple[Tensor, Tensor]:
        """(D,) and (C,), int64: where the flattened mask is True and where it is False, in order."""
        if torch.compiler.is_compiling():
            return self._indices_in_a_graph(self.mask.flatten())
        return self.true_indices(), self._false.of(lambda: (~self.mask).flatten().nonzero().flatten(), self.mask)

    def true_indices(self) -> Tensor:
        """(D,) of `indices`, which are kept until the mask changes; not in a graph."""
        return self._true.of(lambda: self.mask.flatten().nonzero().flatten(), self.mask)

    def order(self) -> Tensor:
        """(D + C,), int64: where each entry of the mask lies among the True ones and the False ones behind them."""
        if torch.compiler.is_compiling():
            return self._order_of()
        return self._order.of(self._order_of, self.mask)

    def sorted_indices(self) -> Tensor:
        """(D + C,), int64: the indices of the True entries and those of the False ones behind them; not in a graph."""
        return self._sorted.of(lambda: torch.cat(self.indices()), self.mask)

    def _order_of(self) -> Tensor:
        return torch.cat(self.indices()).argsort()

    def _indices_in_a_graph(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """The same where no shape may depend on what is in the mask: how many are True is known since it was made."""
        # Each entry goes to its number among those of its kind, the False ones behind the True ones.
        place = torch.where(flat, flat.cumsum(0), self.entries + (~flat).cumsum(0)) - 1
        number = torch.arange(flat.numel(), device=flat.device)
        order = torch.zeros_like(number).scatter(0, place, number)
        return order[: self.entries], order[self.entries :]

    def mask_bytes(self) -> int:
        """Bytes of the mask on disk."""
        return -(-self.mask.numel() // 8)

    def prepare_loading(
        self, state: dict[str, Any], prefix: str, metadata: Mapping[str, Any], problems: Problems
    ) -> None:
        """Take the mask out of its bits."""
        bits = state.get(f"{prefix}bits")
        if bits is None:
            return  # of which torch says that they are missing
        if bits.shape != (self.mask_bytes(),):
            problems.errors.append(f"{prefix}bits has {bits.numel()} bytes, but the mask needs {self.mask_bytes()}")
            return
        mask = unpack_mask(bits, self.mask.shape)
        self.entries = int(mask.count_nonzero())
        self.mask = mask.to(bits.device if self.mask.is_meta else self.mask.device)
