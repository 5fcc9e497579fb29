"""Products with packed weights that read the codes, where a kernel takes them and nobody wants a gradient."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .kernels.products import grouped, linear
from .packed_tensor import PackedTensor, on_packed

# Shapes: R rows, I inputs, O outputs; N experts.

aten: Any = torch.ops.aten


@on_packed(F.linear)
def _linear(input: Tensor, weight: object, bias: Tensor | None = None) -> Tensor | None:
    """With a matrix (O, I)."""
    if not isinstance(weight, PackedTensor) or weight.transposed or weight.dim() != 2 or input.dim() == 0:
        return None
    return linear(input, weight.codes, bias)


@on_packed(aten.mm.default)
def _mm(input: Tensor, weight: object) -> Tensor | None:
    """Rows times a matrix (I, O)."""
    if not isinstance(weight, PackedTensor) or not weight.transposed:
        return None
    return linear(input, weight.codes)


@on_packed(aten.addmm.default)
def _addmm(bias: Tensor, input: Tensor, weight: object, *, beta: float = 1, alpha: float = 1) -> Tensor | None:
    if not isinstance(weight, PackedTensor) or not weight.transposed or bias.dim() != 1:
        return None
    if beta != 1 or alpha != 1:
        return None
    return linear(input, weight.codes, bias.contiguous())


@on_packed(aten._grouped_mm.default)
def _grouped_mm(
    input: Tensor, weight: object, offs: Tensor | None = None, bias: Tensor | None = None, out_dtype: object = None
) -> Tensor | None:
    """Rows of each expert times its matrix of (N, I, O): the default of transformers' mixtures."""
    if not isinstance(weight, PackedTensor) or not weight.transposed or weight.dim() != 3 or offs is None:
        return None
    if bias is not None or out_dtype not in (None, input.dtype):
        return None
    return grouped(input, weight.codes, offs)
