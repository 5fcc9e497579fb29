"""Linear and convolution layers whose weight can lose entries for good."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ModelError
from ..state_loading import PreparesLoading, Problems


def pack_mask(mask: Tensor) -> Tensor:
    """A boolean mask as bytes, eight entries each, in the order of the flattened mask."""
    return torch.from_numpy(np.packbits(mask.flatten().cpu().numpy()))


def unpack_mask(bits: Tensor, shape: Sequence[int]) -> Tensor:
    """The mask of this shape that `pack_mask` was given, on the CPU."""
    flat = np.unpackbits(bits.cpu().numpy(), count=torch.Size(shape).numel()).view(bool)
    return torch.from_numpy(flat).view(*shape)


def positions(mask: Tensor) -> Tensor:
    """Where a mask is True, in the flattened weight (int32)."""
    return mask.flatten().nonzero()[:, 0].to(torch.int32)


PRUNED = ("values", "bits", "shape")
"""What the state of a pruned layer holds in place of `weight`."""


class Masked(PreparesLoading):
    """A layer with a `weight` until it is pruned; from then on with the `values` of the surviving entries only.

    Removed entries are not stored, so they are 0 by construction: they have no gradient, no optimizer state and nothing
    that weight decay could move. The forward pass scatters the values into a dense weight. Pruning makes new
    parameters: make the optimizer afterwards.

    The state of a pruned layer is `values` (non-zeros), `bits` (the mask in row-major order, eight entries a byte) and
    `shape`: 4 bytes per float32 non-zero and 1/8 byte per entry. Any layer of the same kind loads it, dense or pruned.
    """

    values: nn.Parameter | None
    bias: Tensor | None
    index: Tensor | None
    size_names: tuple[str, str]  # attributes with the sizes of dimensions 0 and 1

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.register_parameter("values", None)
        self.register_buffer("index", None, persistent=False)  # int32, positions in the flattened weight

    def reset_parameters(self) -> None:
        """Nothing: whoever makes the layer fills it, from a generator of its own."""

    @property
    def shape(self) -> torch.Size:
        """Shape of the effective weight."""
        raise NotImplementedError

    @property
    def stored(self) -> nn.Parameter:
        """The one parameter that is trained: `weight`, or `values` after pruning."""
        stored = self._parameters["weight"] if self.values is None else self.values
        assert stored is not None
        return stored

    @property
    def mask(self) -> Tensor:
        """Boolean, of the weight's shape: True where an entry is stored."""
        return self.spread(torch.ones_like(self.stored, dtype=torch.bool))

    def spread(self, entries: Tensor) -> Tensor:
        """Something per stored entry as a tensor of the weight's shape, 0 (False) where entries were removed."""
        if self.index is None:
            return entries.view(self.shape)
        dense = entries.new_zeros(self.shape.numel())
        return dense.scatter(0, self.index, entries.flatten()).view(self.shape)

    def effective(self, dtype: torch.dtype | None = None) -> Tensor:
        """The dense weight, with removed entries at 0; its gradient reaches the surviving entries."""
        stored: Tensor = self.stored
        if dtype is not None:
            stored = stored.to(dtype)
        if self.index is None:
            return stored
        return self.spread(stored)

    def masked_out(self) -> int:
        """Number of removed entries."""
        return self.shape.numel() - self.stored.numel()

    def mask_bytes(self) -> int:
        """Bytes of the mask on disk, a bit for each entry; 0 where nothing was removed."""
        if self.values is None:
            return 0
        return math.ceil(self.shape.numel() / 8)

    @torch.no_grad()
    def prune(self, mask: Tensor) -> None:
        """Keep only the entries where the boolean `mask` is True; what was removed before stays removed.

        A mask that removes nothing leaves the layer as it is. Raises `ModelError` for a mask of another shape.
        """
        if mask.shape != self.shape:
            raise ModelError(f"a mask of shape {tuple(mask.shape)} does not fit a weight of shape {tuple(self.shape)}")
        kept = mask.to(self.stored.device, torch.bool) & self.mask
        if int(kept.sum()) < self.stored.numel():
            values = self.effective()[kept]
            self._store_pruned(positions(kept))
            self.stored.copy_(values)

    @torch.no_grad()
    def select(self, dim: int, keep: Tensor) -> None:
        """Keep only the slices `keep` (int64) of dimension 0 (outputs, with their bias) or 1 (inputs)."""
        weight = self.effective().index_select(dim, keep)
        mask = self.mask.index_select(dim, keep)
        self._resize(weight.shape)
        if dim == 0 and self.bias is not None:
            self.bias = nn.Parameter(self.bias.index_select(0, keep), self.bias.requires_grad)
        self._store_dense()
        self.stored.copy_(weight)
        self.prune(mask)

    def take_form(self, shape: Sequence[int], kept: int | None) -> None:
        """Become as narrow, and keep as many entries (None: it is not pruned), as a layer whose values come later."""
        if list(shape) != list(self.shape):
            self._narrow(shape)
        if kept is not None:
            self._store_pruned(self.stored.new_empty(kept, dtype=torch.int32))

    def _narrow(self, shape: Sequence[int]) -> None:
        """Dense and of another shape, the bias too; values come later."""
        self._resize(torch.Size(shape))
        self._store_dense()
        if self.bias is not None:
            self.bias = nn.Parameter(self.bias.new_empty(shape[0]), self.bias.requires_grad)

    def _resize(self, shape: torch.Size) -> None:
        for name, size in zip(self.size_names, shape[:2], strict=True):
            setattr(self, name, size)

    def _store_dense(self) -> None:
        old = self.stored
        self.register_parameter("weight", nn.Parameter(old.new_empty(self.shape), old.requires_grad))
        self.values = None
        self.index = None

    def _store_pruned(self, index: Tensor) -> None:
        """Keep the entries at these positions; their values come later."""
        old = self.stored
        self.index = index
        self.values = nn.Parameter(old.new_empty(len(index)), old.requires_grad)
        self.register_parameter("weight", None)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.values is not None:
            destination[f"{prefix}bits"] = pack_mask(self.mask)
            destination[f"{prefix}shape"] = torch.tensor(self.shape, dtype=torch.int32)

    def prepare_loading(
        self, state: dict[str, Any], prefix: str, metadata: Mapping[str, Any], problems: Problems
    ) -> None:
        """Become as narrow as the saved layer, and pruned where it is."""
        weight = state.get(f"{prefix}weight")
        if all(f"{prefix}{name}" in state for name in PRUNED):
            shape = state[f"{prefix}shape"].tolist()
            self._adopt(shape)
            if shape == list(self.shape):
                self._load_mask(state[f"{prefix}bits"])
            else:
                problems.errors.append(f"{prefix}shape is {shape}, but the layer has {list(self.shape)}")
        elif weight is not None:
            self._adopt(list(weight.shape))
            if self.values is not None:
                self._store_dense()
        for name in ("bits", "shape"):
            state.pop(f"{prefix}{name}", None)

    def _load_mask(self, bits: Tensor) -> None:
        mask = unpack_mask(bits, self.shape).to(self.stored.device)
        if self.values is None or not torch.equal(mask, self.mask):
            self._store_pruned(positions(mask))

    def _adopt(self, shape: list[int]) -> None:
        """Become as narrow as a saved layer that has lost units; other differences stay, and loading fails."""
        if self._has_lost_units(shape):
            self._narrow(shape)

    def _has_lost_units(self, shape: list[int]) -> bool:
        """Whether a saved shape is that of this layer, narrower in its outputs or in its inputs."""
        if len(shape) != len(self.shape):
            return False
        changed = [dim for dim, size in enumerate(self.shape) if shape[dim] != size]
        return changed in ([0], [1]) and shape[changed[0]] < self.shape[changed[0]]


class MaskedLinear(Masked, nn.Linear):
    """`nn.Linear` whose weight can be pruned; computes in the dtype of its input."""

    size_names = ("out_features", "in_features")

    @property
    def shape(self) -> torch.Size:
        """(out, in)."""
        return torch.Size((self.out_features, self.in_features))

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        weight = self.effective(input.dtype)
        bias = None if self.bias is None else self.bias.to(input.dtype)
        return F.linear(input, weight, bias)


class MaskedConv2d(Masked, nn.Conv2d):
    """`nn.Conv2d` without groups whose weight can be pruned; computes in the dtype of its input."""

    size_names = ("out_channels", "in_channels")

    @property
    def shape(self) -> torch.Size:
        """(out, in, height, width)."""
        return torch.Size((self.out_channels, self.in_channels, *self.kernel_size))

    def forward(self, input: Tensor) -> Tensor:
        """Map (batch, in, height, width) to (batch, out, height, width)."""
        weight = self.effective(input.dtype)
        bias = None if self.bias is None else self.bias.to(input.dtype)
        return self._conv_forward(input, weight, bias)
