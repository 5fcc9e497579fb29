"""A mask that is saved as bits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..sparsity.masked import pack_mask, unpack_mask
from ..state_loading import PreparesLoading, Problems


class PackedMask(PreparesLoading):
    """A module with a boolean `mask`, whose state has `bits` (uint8) in its place, eight entries to a byte.

    `entries`: how many are True.
    """

    mask: Tensor
    entries: int

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        self.entries = int(mask.count_nonzero())

    def indices(self) -> tuple[Tensor, Tensor]:
        """(D,) and (C,), int64: where the flattened mask is True and where it is False, in order."""
        flat = self.mask.flatten()
        if torch.compiler.is_compiling():
            return self._indices_in_a_graph(flat)
        return flat.nonzero().flatten(), (~flat).nonzero().flatten()

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

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}bits"] = pack_mask(self.mask)

    def prepare_loading(self, state: dict[str, Any], prefix: str, problems: Problems) -> None:
        """Take the mask out of its bits."""
        bits = state.pop(f"{prefix}bits", None)
        if bits is None:
            problems.missing.append(f"{prefix}bits")
        elif bits.shape != (self.mask_bytes(),):
            problems.errors.append(f"{prefix}bits has {bits.numel()} bytes, but the mask needs {self.mask_bytes()}")
        else:
            self.mask.copy_(unpack_mask(bits, self.mask.shape))
            self.entries = int(self.mask.count_nonzero())
