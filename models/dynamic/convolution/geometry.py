"""Where a convolution looks: stride, padding, dilation and groups, of any `nn.Conv2d` and of those of timm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import ModelError

Pair = tuple[int, int]
_SAME = "timm.layers.conv2d_same.Conv2dSame"
"""Pads by the size of its input, as TensorFlow does."""


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """How a kernel is moved over its input; the numbers are those of `nn.Conv2d`, as (height, width).

    Attributes:
        kernel: its size.
        stride: between two positions.
        padding: on both sides.
        dilation: between two taps.
        groups: of channels that do not see each other.
        surround: what is added first instead of `padding`, (left, right, top, bottom), where that differs from side to
            side or `mode` is not "zeros"; `padding` is 0 then.
        mode: what is added: "zeros" or a mode of `nn.Conv2d`.
        by_input: padding depends on the size of the input, so that ceil(size / stride) positions come out.
    """

    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    surround: tuple[int, int, int, int] = (0, 0, 0, 0)
    mode: str = "zeros"
    by_input: bool = False

    @classmethod
    def of(cls, conv: Any, path: str = "the module") -> Geometry:
        """The geometry of a convolution.

        Args:
            conv: an `nn.Conv2d`, or timm's `Conv2dSame`.
            path: its name in an error.

        Raises:
            ModelError: any module that is none with plain weights.
        """
        name = f"{type(conv).__module__}.{type(conv).__qualname__}"
        if type(conv) is not nn.Conv2d and name != _SAME:
            raise ModelError(f"{path} is a {type(conv).__name__}: only an nn.Conv2d (or timm's Conv2dSame) is treated")
        common: dict[str, Any] = {
            "kernel": tuple(conv.kernel_size),
            "stride": tuple(conv.stride),
            "dilation": tuple(conv.dilation),
            "groups": conv.groups,
        }
        if name == _SAME:
            return cls(**common, by_input=True)
        padding = _sides(conv)
        symmetric = padding[0] == padding[1] and padding[2] == padding[3]
        if conv.padding_mode == "zeros" and symmetric:
            return cls(**common, padding=(padding[2], padding[0]))
        return cls(**common, surround=padding, mode=conv.padding_mode)

    def pad(self, x_BIHW: Tensor) -> Tensor:
        """The input with what `padding` does not say."""
        if self.by_input:
            height = _same(x_BIHW.shape[-2], self.kernel[0], self.stride[0], self.dilation[0])
            width = _same(x_BIHW.shape[-1], self.kernel[1], self.stride[1], self.dilation[1])
            return F.pad(x_BIHW, (*width, *height))
        if not any(self.surround):
            return x_BIHW
        if self.mode == "zeros":
            return F.pad(x_BIHW, self.surround)
        return F.pad(x_BIHW, self.surround, mode=self.mode)

    def conv2d(self, x_BIHW: Tensor, weight: Tensor, bias_O: Tensor | None = None, copies: int = 1) -> Tensor:
        """The convolution of a padded input, with `copies` times as many groups."""
        groups = self.groups * copies
        return F.conv2d(x_BIHW, weight, bias_O, self.stride, self.padding, self.dilation, groups)

    def size_after(self, padded: Tensor) -> Pair:
        """Height and width of the result, from a padded input."""
        height, width = padded.shape[-2:]
        return (self._positions(height, 0), self._positions(width, 1))

    def _positions(self, size: int, side: int) -> int:
        reach = self.dilation[side] * (self.kernel[side] - 1)
        return (size + 2 * self.padding[side] - reach - 1) // self.stride[side] + 1

    @property
    def is_pointwise(self) -> bool:
        """Whether every position sees itself alone: a matrix for each position."""
        return self.kernel == (1, 1) and self.padding == (0, 0) and self.groups == 1 and not self.by_input


def _sides(conv: nn.Conv2d) -> tuple[int, int, int, int]:
    """(left, right, top, bottom) of a convolution's padding, which may be a word."""
    left, right, top, bottom = conv._reversed_padding_repeated_twice
    return (left, right, top, bottom)


def _same(size: int, kernel: int, stride: int, dilation: int) -> Pair:
    """Padding before and after, so that ceil(size / stride) positions come out; the odd one comes after."""
    total = (math.ceil(size / stride) - 1) * stride + dilation * (kernel - 1) + 1 - size
    total = max(total, 0)
    return (total // 2, total - total // 2)
