"""A mask that is saved as bits."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..sparsity.masked import pack_mask, unpack_mask


class PackedMask(nn.Module):
    """A module with a boolean `mask`, whose state has `bits` (uint8) in its place, eight entries to a byte."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)

    def indices(self) -> tuple[Tensor, Tensor]:
        """(D,) and (C,), int64: where the flattened mask is True and where it is False, in order."""
        flat = self.mask.flatten()
        return flat.nonzero().flatten(), (~flat).nonzero().flatten()

    def mask_bytes(self) -> int:
        """Bytes of the mask on disk."""
        return -(-self.mask.numel() // 8)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}bits"] = pack_mask(self.mask)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        bits = state_dict.get(f"{prefix}bits")
        rest = {key: value for key, value in state_dict.items() if key != f"{prefix}bits"}
        super()._load_from_state_dict(rest, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        if bits is None:
            missing_keys.append(f"{prefix}bits")
        elif bits.shape != (self.mask_bytes(),):
            error_msgs.append(f"{prefix}bits has {bits.numel()} bytes, but the mask needs {self.mask_bytes()}")
        else:
            self.mask.copy_(unpack_mask(bits, self.mask.shape))
