"""Linear and convolution layers whose weight can lose entries for good."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ModelError

Init = Literal["zero_up", "xavier_zero_up", "normal", "truncated"]
STARTS_AS_NO_CHANGE = ("zero_up", "xavier_zero_up")
PRUNED = ("values", "bits", "shape")
"""What the state of a pruned layer holds in place of `weight`."""


def adapter_dtype(base_weight: Tensor) -> torch.dtype:
    """The dtype of adapter parameters beside a frozen weight: at least float32, as optimizers need it."""
    return torch.promote_types(base_weight.dtype, torch.float32)


class Masked(nn.Module):
    """A layer with a `weight` until it is pruned; from then on with the `values` of the surviving entries only.

    Removed entries are not stored, so they are 0 by construction: they have no gradient, no optimizer state and nothing
    that weight decay could move. The forward pass scatters the values into a dense weight. Pruning makes new
    parameters: make the optimizer afterwards.

    The state of a pruned layer is `values` (non-zeros), `bits` (the mask in row-major order, eight entries a byte) and
    `shape`: 4 bytes per float32 non-zero and 1/8 byte per entry. Any layer of the same kind loads it, dense or pruned.
    """

    weight: nn.Parameter | None
    values: nn.Parameter | None
    bias: nn.Parameter | None
    index: Tensor | None
    size_names: tuple[str, str]  # attributes with the sizes of dimensions 0 and 1

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.register_parameter("values", None)
        self.register_buffer("index", None, persistent=False)  # int32, positions in the flattened weight

    def reset_parameters(self) -> None:
        """Nothing: `initialise` draws from an explicit generator instead."""

    @property
    def shape(self) -> torch.Size:
        """Shape of the effective weight."""
        raise NotImplementedError

    @property
    def stored(self) -> nn.Parameter:
        """The one parameter that is trained: `weight`, or `values` after pruning."""
        stored = self.weight if self.values is None else self.values
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
        return entries.new_zeros(self.shape.numel()).scatter(0, self.index, entries.flatten()).view(self.shape)

    def effective(self, dtype: torch.dtype | None = None) -> Tensor:
        """The dense weight, with removed entries at 0; its gradient reaches the surviving entries."""
        stored = self.stored if dtype is None else self.stored.to(dtype)
        return stored if self.index is None else self.spread(stored)

    def masked_out(self) -> int:
        """Number of removed entries."""
        return self.shape.numel() - self.stored.numel()

    def mask_bytes(self) -> int:
        """Bytes of the mask on disk, a bit for each entry; 0 where nothing was removed."""
        return 0 if self.values is None else -(-self.shape.numel() // 8)

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
            self._store_pruned(kept)
            self.stored.copy_(values)

    @torch.no_grad()
    def select(self, dim: int, keep: Tensor) -> None:
        """Keep only the slices `keep` (int64) of dimension 0 (outputs, with their bias) or 1 (inputs)."""
        weight, mask = self.effective().index_select(dim, keep), self.mask.index_select(dim, keep)
        self._resize(weight.shape)
        if dim == 0 and self.bias is not None:
            self.bias = nn.Parameter(self.bias.index_select(0, keep), self.bias.requires_grad)
        self._store_dense()
        self.stored.copy_(weight)
        self.prune(mask)

    def _resize(self, shape: torch.Size) -> None:
        for name, size in zip(self.size_names, shape[:2], strict=True):
            setattr(self, name, size)

    def _store_dense(self) -> None:
        old = self.stored
        self.weight, self.values, self.index = nn.Parameter(old.new_empty(self.shape), old.requires_grad), None, None

    def _store_pruned(self, mask: Tensor) -> None:
        old, self.index = self.stored, mask.flatten().nonzero()[:, 0].to(torch.int32)
        self.weight, self.values = None, nn.Parameter(old.new_empty(len(self.index)), old.requires_grad)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.values is not None:
            bits = np.packbits(self.mask.flatten().cpu().numpy())
            destination[f"{prefix}bits"] = torch.from_numpy(bits)
            destination[f"{prefix}shape"] = torch.tensor(self.shape, dtype=torch.int32)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        weight, bias = state_dict.get(f"{prefix}weight"), state_dict.get(f"{prefix}bias")
        if all(f"{prefix}{name}" in state_dict for name in PRUNED):
            shape = state_dict[f"{prefix}shape"].tolist()
            self._adopt(shape, bias)
            if shape == list(self.shape):
                self._load_mask(state_dict[f"{prefix}bits"])
            else:
                args[-1].append(f"{prefix}shape is {shape}, but the layer has {list(self.shape)}")
        elif weight is not None:
            self._adopt(list(weight.shape), bias)
            if self.values is not None:
                self._store_dense()
        rest = {key: value for key, value in state_dict.items() if key not in (f"{prefix}bits", f"{prefix}shape")}
        super()._load_from_state_dict(rest, prefix, *args)

    def _load_mask(self, bits: Tensor) -> None:
        flat = np.unpackbits(bits.cpu().numpy(), count=self.shape.numel()).astype(bool)
        mask = torch.from_numpy(flat).view(self.shape).to(self.stored.device)
        if self.values is None or not torch.equal(mask, self.mask):
            self._store_pruned(mask)

    def _adopt(self, shape: list[int], bias: Tensor | None) -> None:
        """Become as narrow as a saved layer that has lost units; other differences stay, and loading fails."""
        changed = [d for d in range(len(self.shape)) if shape[d : d + 1] != [self.shape[d]]]
        if len(shape) != len(self.shape) or changed not in ([0], [1]) or shape[changed[0]] > self.shape[changed[0]]:
            return
        self._resize(torch.Size(shape))
        self._store_dense()
        if bias is not None and self.bias is not None:
            self.bias = nn.Parameter(self.bias.new_empty(bias.shape), self.bias.requires_grad)


class MaskedLinear(Masked, nn.Linear):
    """`nn.Linear` whose weight can be pruned; computes in the dtype of its input."""

    size_names = ("out_features", "in_features")

    @property
    def shape(self) -> torch.Size:
        """(out, in)."""
        return torch.Size((self.out_features, self.in_features))

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        return F.linear(input, self.effective(input.dtype), None if self.bias is None else self.bias.to(input.dtype))


class MaskedConv2d(Masked, nn.Conv2d):
    """`nn.Conv2d` without groups whose weight can be pruned; computes in the dtype of its input."""

    size_names = ("out_channels", "in_channels")

    @property
    def shape(self) -> torch.Size:
        """(out, in, height, width)."""
        return torch.Size((self.out_channels, self.in_channels, *self.kernel_size))

    def forward(self, input: Tensor) -> Tensor:
        """Map (batch, in, height, width) to (batch, out, height, width)."""
        bias = None if self.bias is None else self.bias.to(input.dtype)
        return self._conv_forward(input, self.effective(input.dtype), bias)


def initialise(down: Masked, up: Masked, init: Init, generator: torch.Generator) -> None:
    """Fill a pair of projections; biases are 0.

    "zero_up": down U(-1, 1) / sqrt(fan_in), up 0, so that the adapter starts as no change (LoRA, arXiv 2106.09685).
    "xavier_zero_up": down U(-1, 1) sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010), up 0.
    "normal": both N(0, 0.02^2) (the default of SparseAdapter, arXiv 2210.04284); the model changes a little at once.
    "truncated": both N(0, 0.01^2) without what lies beyond two deviations (Houlsby et al., arXiv 1902.00751, 2.1).
    """
    fill(down, init, generator)
    fill(up, init, generator, last=True)


@torch.no_grad()
def fill(layer: Masked, init: Init, generator: torch.Generator, *, last: bool = False) -> None:
    """Fill one layer as `initialise` does: the up projection if `last`, else the down projection."""
    values = torch.zeros(layer.shape)
    if init == "normal":
        values.normal_(0, 0.02, generator=generator)
    elif init == "truncated":
        nn.init.trunc_normal_(values, std=0.01, a=-0.02, b=0.02, generator=generator)
    elif not last:
        bound = _bound(values, xavier=init == "xavier_zero_up")
        values.uniform_(-bound, bound, generator=generator)
    layer.stored.copy_(values)
    if layer.bias is not None:
        layer.bias.zero_()


def _bound(values: Tensor, *, xavier: bool) -> float:
    """Of a uniform distribution, by the numbers of inputs (and outputs) of a weight (out, in, ...)."""
    fan_in = values[0].numel()
    if not xavier:
        return 1 / math.sqrt(fan_in)
    fan_out = values[:, 0].numel()
    return math.sqrt(6 / (fan_in + fan_out))
