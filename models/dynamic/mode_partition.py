"""Which entries of a weight are dynamic and which are static: PAD-Net's mask, static weight and scales."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from ..errors import ModelError, check_choice
from .kept import Kept

Scale = Literal["both", "static", "dynamic", "none", "pruned"]
Structure = Literal["dynamic", "static", "row", "channel", "weight"]
SCALES: tuple[Scale, ...] = get_args(Scale)
LEARNT = ("both", "static", "dynamic")
"""Those with a factor that trains."""

# Shapes: S the weight of one kernel, `weight_shape`; its first dimension is an output (row), its second an input.


@dataclass(frozen=True)
class Layout:
    """How a mask can be used: whole rows or channels, and their indices (int64).

    `structure`: "dynamic" and "static" where the mask has one value, "row" and "channel" where it has one for each
    index of the first or of the second dimension, else "weight", with empty indices.
    """

    structure: Structure
    dynamic: Tensor
    static: Tensor


class ModePartition(nn.Module):
    """The two modes of a weight: λ_d M ⊙ dynamic + λ_s (1 - M) ⊙ static (PAD-Net, arXiv 2211.05528, section 3).

    `mask` (buffer, boolean, (*S)): True where the weight is dynamic; one for all kernels or experts of a layer.
    `static` (parameter, (*S)): the static weight; only its entries under False are ever used.
    `phi` (scalar parameter, 0 at the start): λ_d = 2 sigmoid(phi) and λ_s = 2 - λ_d, so that both start at 1 and their
    sum stays 2. `scale` says which of them are used; the others are 1, and phi has no gradient where none is:

    - "both": as above, "static": λ_s alone, "dynamic": λ_d alone, "none": neither.
    - "pruned": no static part at all (λ = p in the released code): what partition is compared with.

    `scale_code` (buffer, a number of `SCALES`) says it in a state dict, from which a layer builds its partition.

    Raises `ModelError` for a mask that is not boolean or of another shape than `static`.

    >>> partition = ModePartition(torch.tensor([[True], [False]]), torch.zeros(2, 1))
    >>> partition.used_weight(torch.ones(2, 1)).tolist(), partition.ratio
    ([[1.0], [0.0]], 0.5)
    """

    mask: Tensor
    scale_code: Tensor

    def __init__(self, mask: Tensor, static: Tensor, scale: Scale = "both") -> None:
        super().__init__()
        check_choice("scale", scale, SCALES)
        if mask.dtype != torch.bool:
            raise ModelError(f"the mask of a partition is boolean, not {mask.dtype}: True where the weight is dynamic")
        if mask.shape != static.shape:
            raise ModelError(f"mask {tuple(mask.shape)} and static weight {tuple(static.shape)} have other shapes")
        self.scale: Scale = scale
        self.register_buffer("mask", mask.detach().clone())
        self.static = nn.Parameter(static.detach().clone())
        start = torch.zeros((), dtype=static.dtype, device=static.device)
        self.phi = nn.Parameter(start, requires_grad=scale in LEARNT)
        code = torch.tensor(SCALES.index(scale), dtype=torch.uint8, device=static.device)
        self.register_buffer("scale_code", code)
        self._relaxed: Tensor | None = None
        self._layout: Kept[Layout] = Kept()

    @property
    def ratio(self) -> float:
        """κ: the fraction of entries that are dynamic, in [0, 1]."""
        return self.mask.double().mean().item()

    @property
    def lambda_dynamic(self) -> Tensor:
        """λ_d, a scalar."""
        if self.scale in ("both", "dynamic"):
            return 2 * torch.sigmoid(self.phi)
        return torch.ones_like(self.phi)

    @property
    def lambda_static(self) -> Tensor:
        """λ_s, a scalar; 0 where the static part is pruned."""
        if self.scale in ("both", "static"):
            return 2 - 2 * torch.sigmoid(self.phi)
        if self.scale == "pruned":
            return torch.zeros_like(self.phi)
        return torch.ones_like(self.phi)

    def dynamic_factor(self) -> Tensor:
        """(*S) λ_d M: what the dynamic weight is multiplied with."""
        return self.lambda_dynamic * self._fractions()

    def static_part(self) -> Tensor:
        """(*S) λ_s (1 - M) ⊙ static."""
        return self.lambda_static * ((1 - self._fractions()) * self.static)

    def used_weight(self, dynamic: Tensor) -> Tensor:
        """λ_d M ⊙ dynamic + λ_s (1 - M) ⊙ static; of one dynamic weight (*S), or of several (..., *S)."""
        return dynamic * self.dynamic_factor() + self.static_part()

    def set_mask(self, mask: Tensor) -> None:
        """Take another mask.

        Args:
            mask: boolean, of the same shape.

        Raises:
            ModelError: another shape or type.
        """
        if mask.dtype != torch.bool or mask.shape != self.mask.shape:
            wanted = f"a boolean mask of shape {tuple(self.mask.shape)}"
            raise ModelError(f"{wanted} is needed, not {mask.dtype} of {tuple(mask.shape)}")
        self.mask.copy_(mask)

    @property
    def is_relaxed(self) -> bool:
        """Whether the mask is a tensor with a gradient at the moment (`relaxed`)."""
        return self._relaxed is not None

    @contextmanager
    def relaxed(self) -> Iterator[Tensor]:
        """Within it the mask is a floating-point tensor (*S) that takes a gradient.

        The gradient of a loss there is g ⊙ (λ_d dynamic - λ_s static), summed over samples, where g is that of the used
        weight: to first order what a switch of mode changes.
        """
        self._relaxed = self.mask.to(self.static.dtype).requires_grad_()
        try:
            yield self._relaxed
        finally:
            self._relaxed = None

    def layout(self) -> Layout:
        """Which structure the mask has; looked up again only after it has changed.

        In a graph, which cannot depend on what is in the mask, "weight", which is right for every mask.
        """
        if torch.compiler.is_compiling():
            nothing = torch.empty(0, dtype=torch.int64, device=self.mask.device)
            return Layout("weight", nothing, nothing)
        return self._layout.of(lambda: _layout_of(self.mask), self.mask)

    def read_scale(self) -> None:
        """Compute as `scale_code` says, which was read from a file. Raises `ModelError` for a number of no scale."""
        scale = scale_of(self.scale_code)
        if scale != self.scale:
            self.scale = scale
            self.phi.requires_grad_(scale in LEARNT)

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
        key = f"{prefix}scale_code"
        said = state_dict.get(key, self.scale_code)  # states of earlier versions do not say it
        super()._load_from_state_dict(
            {**state_dict, key: said}, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        if self.scale_code.is_meta:
            return
        try:
            self.read_scale()
        except ModelError as error:
            error_msgs.append(f"{prefix.rstrip('.')}: {error}")

    def extra_repr(self) -> str:
        """Shape, ratio and scale."""
        return f"{tuple(self.mask.shape)}, ratio={self.ratio:.4g}, scale={self.scale!r}"

    def _fractions(self) -> Tensor:
        if self._relaxed is not None:
            return self._relaxed
        return self.mask.to(self.static.dtype)


def scale_of(code: Tensor) -> Scale:
    """The scale of a `scale_code`. Raises `ModelError` for a number of none."""
    number = int(code)
    if not 0 <= number < len(SCALES):
        raise ModelError(f"scale_code={number} is none of {len(SCALES)} scales ({', '.join(SCALES)})")
    return SCALES[number]


def _layout_of(mask: Tensor) -> Layout:
    empty = torch.empty(0, dtype=torch.int64, device=mask.device)
    everything = torch.arange(mask.shape[0], device=mask.device)
    if bool(mask.all()):
        return Layout("dynamic", everything, empty)
    if not bool(mask.any()):
        return Layout("static", empty, everything)
    rows = mask.flatten(1) if mask.dim() > 1 else mask[:, None]
    if bool((rows == rows[:, :1]).all()):
        return Layout("row", *_indices(rows[:, 0]))
    channels = mask.transpose(0, 1).flatten(1)
    if bool((channels == channels[:, :1]).all()):
        return Layout("channel", *_indices(channels[:, 0]))
    return Layout("weight", empty, empty)


def _indices(chosen: Tensor) -> tuple[Tensor, Tensor]:
    return chosen.nonzero().flatten(), (~chosen).nonzero().flatten()
