"""Kernels put together from cells that convolutions of a stage share: after KernelWarehouse, not the released layer.

Li and Yao, "KernelWarehouse: Rethinking the Design of Dynamic Convolution", arXiv 2406.07879. What a partially dynamic
network is compared with at equal bytes: parameters fall by sharing instead of by static parts. The released layer has
more parameters: a batch norm and at least 16 hidden units in its attention, one weight more a mixture (of a cell of
zeros), and cells that are blocks of outputs by inputs at one tap. ResNet-18 has 11.93 M at budget 1 there, 7.43 at 1/2,
4.08 at 1/4 and 45.86 at 4; here 11.77, 7.05, 3.91 and 45.25.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import ModelError
from .attention import pooled, squeezing
from .forms import with_weights
from .geometry import Geometry

# Shapes: B samples, I inputs, O outputs, M cells of a kernel, n cells of a warehouse, c numbers of a cell, R hidden
# units.


class Warehouse(nn.Module):
    """`cells` (parameter, (n, c)): what the kernels of several layers are mixed from."""

    def __init__(self, cells_nc: Tensor) -> None:
        super().__init__()
        self.cells = nn.Parameter(cells_nc.detach().clone())


class CellAttention(nn.Module):
    """Weights of the n cells for each of the M cells of a kernel (contrasting-driven attention, section 3.3).

    α = τ β + (1 - τ) z / Σ_n |z|, with z = U relu(V pool(x)) and a bias, which may be negative. β is 1 for the cell
    that a kernel cell started from and 0 for the others; τ is `fixed_share`, a buffer that `release_cells` lowers from
    1 to 0. The bias starts at β and U at 0, so that z, too, points at that cell at first.
    """

    fixed_share: Tensor
    home: Tensor

    def __init__(
        self, channels: int, home_M: Tensor, cells: int, generator: torch.Generator, *, reduction: int = 16
    ) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.squeeze = squeezing(channels, hidden, math.sqrt(2 / channels), generator)
        self.excite = nn.Linear(hidden, home_M.numel() * cells)
        nn.init.zeros_(self.excite.weight)
        self.register_buffer("home", F.one_hot(home_M, cells).to(torch.bool))
        self.register_buffer("fixed_share", torch.tensor(1.0))
        with torch.no_grad():
            self.excite.bias.copy_(self.home.flatten())

    def forward(self, x_BIHW: Tensor) -> Tensor:
        """(B, M, n)."""
        z_BMn = self.excite(F.relu(self.squeeze(pooled(x_BIHW)))).unflatten(-1, self.home.shape)
        # Cells may enter with a minus sign, so magnitudes are summed; all of them may be 0.
        sums_BM1 = z_BMn.abs().sum(-1, keepdim=True).clamp_min(torch.finfo(z_BMn.dtype).eps)
        fraction = self.fixed_share.to(z_BMn.dtype)
        return fraction * self.home + (1 - fraction) * (z_BMn / sums_BM1)


class WarehouseConv2d(nn.Module):
    """A convolution whose kernel is, for each sample, M mixtures of the n cells of a warehouse, one after the other.

    The kernel (O, J, h, w) is cut in row-major order. `bias` (O) stays static.
    """

    def __init__(
        self, warehouse: Warehouse, weight_shape: torch.Size, bias: Tensor | None, geometry: Geometry, attention: Any
    ) -> None:
        super().__init__()
        self.warehouse = warehouse
        self.weight_shape = weight_shape
        self.geometry = geometry
        self.attention = attention
        self.in_channels = weight_shape[1] * geometry.groups
        self.out_channels = weight_shape[0]
        self.kernel_size = geometry.kernel
        self.groups = geometry.groups
        self.register_parameter("bias", None)
        if bias is not None:
            self.bias = nn.Parameter(bias.detach().clone())

    def forward(self, x_BIHW: Tensor) -> Tensor:
        """(B, O, H', W'). Raises `ModelError` for an input that is not a batch of maps with this layer's channels."""
        if x_BIHW.dim() != 4 or x_BIHW.shape[1] != self.in_channels:
            raise ModelError(f"input {tuple(x_BIHW.shape)}: this convolution takes (batch, {self.in_channels}, h, w)")
        weight_BMc = self.attention(x_BIHW) @ self.warehouse.cells
        weight_BOJhw = weight_BMc.flatten(1).unflatten(1, self.weight_shape)
        y_BOHW = with_weights(self.geometry.pad(x_BIHW), weight_BOJhw, self.geometry)
        if self.bias is None:
            return y_BOHW
        return y_BOHW + self.bias[:, None, None]


def release_cells(model: nn.Module, fixed_share: float) -> int:
    """Set τ of all kernels that are mixed from a warehouse.

    Args:
        model: what `make_dynamic` made with a `WarehouseConfig`.
        fixed_share: at 1 every kernel cell is the one it started from, at 0 what its attention says.

    Returns:
        How many such kernels there are.

    Raises:
        ModelError: a value outside of [0, 1], and a model without such kernels.
    """
    if not 0 <= fixed_share <= 1:
        raise ModelError(f"fixed_share={fixed_share}: from 1 (as it started) to 0 (as the attention says)")
    found = [module for module in model.modules() if isinstance(module, CellAttention)]
    if not found:
        raise ModelError(f"this {type(model).__name__} has no kernels from a warehouse")
    with torch.no_grad():
        for module in found:
            module.fixed_share.fill_(fixed_share)
    return len(found)
