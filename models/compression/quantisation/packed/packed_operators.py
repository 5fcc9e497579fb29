"""What operators do with packed weights without making the dense one: parts, copies, other devices, products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....errors import ModelError
from .kernels.products import grouped, linear
from .packed_tensor import PackedTensor, on_packed

aten: Any = torch.ops.aten


def _input_dim(packed: PackedTensor) -> int:
    """The dimension that the codes are packed along."""
    return packed.dim() - 2 if packed.transposed else packed.dim() - 1


def _part_dim(packed: PackedTensor, dim: int) -> int | None:
    """The dimension of all parts that `dim` of the weight is; None for that of the packed codes."""
    dim = dim % packed.dim()
    if dim == _input_dim(packed):
        return None
    return min(dim, packed.dim() - 2)


@on_packed(aten.detach.default, aten.alias.default)
def _same(packed: PackedTensor, *args: object, **keywords: object) -> PackedTensor:
    return packed.map(aten.detach.default)


@on_packed(aten.clone.default)
def _clone(packed: PackedTensor, **keywords: object) -> PackedTensor:
    return packed.map(torch.clone)


@on_packed(aten._to_copy.default)
def _to(packed: PackedTensor, *, dtype: torch.dtype | None = None, device: Any = None, **keywords: Any) -> Any:
    """Another device, or another floating-point type of the scales and so of the dense weight."""
    if dtype is not None and not dtype.is_floating_point:
        return None

    def moved(part: Tensor) -> Tensor:
        if part.is_floating_point():
            return part.to(device=device, dtype=dtype, copy=True)
        return part.to(device=device, copy=True)

    return packed.map(moved)


@on_packed(aten.select.int)
def _select(packed: PackedTensor, dim: int, index: int) -> PackedTensor | None:
    """One expert."""
    if packed.dim() != 3 or dim % 3 != 0:
        return None
    return packed.map(lambda part: part.select(0, index))


@on_packed(aten.unbind.int)
def _unbind(packed: PackedTensor, dim: int = 0) -> list[PackedTensor] | None:
    if packed.dim() != 3 or dim % 3 != 0:
        return None
    return [packed.map(lambda part, at=index: part.select(0, at)) for index in range(len(packed))]


@on_packed(aten.slice.Tensor)
def _slice(
    packed: PackedTensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> PackedTensor | None:
    """Some experts or rows."""
    place = _part_dim(packed, dim)
    if place is None:
        if (start in (None, 0)) and (end is None or end >= packed.columns) and step == 1:
            return _same(packed)
        return None
    return packed.map(lambda part: aten.slice.Tensor(part, place, start, end, step))


@on_packed(aten.split.Tensor)
def _split(packed: PackedTensor, size: int, dim: int = 0) -> list[PackedTensor] | None:
    sizes = [size] * (packed.shape[dim] // size)
    if packed.shape[dim] % size:
        sizes.append(packed.shape[dim] % size)
    return _split_sizes(packed, sizes, dim)


@on_packed(aten.split_with_sizes.default)
def _split_sizes(packed: PackedTensor, sizes: Sequence[int], dim: int = 0) -> list[PackedTensor] | None:
    if _part_dim(packed, dim) is None:
        return None
    pieces = []
    start = 0
    for size in sizes:
        piece = _slice(packed, dim, start, start + size)
        assert piece is not None
        pieces.append(piece)
        start += size
    return pieces


@on_packed(aten.index.Tensor)
def _index(packed: PackedTensor, indices: Sequence[Tensor | None]) -> PackedTensor | None:
    """Experts, or rows of a matrix, by a list of their numbers."""
    chosen = [index for index in indices if index is not None]
    alone = len(chosen) == 1 and indices[0] is not None and chosen[0].dim() == 1
    if not alone or _part_dim(packed, 0) is None:
        return None
    return packed.map(lambda part: part[chosen[0]])


@on_packed(aten.index_select.default)
def _index_select(packed: PackedTensor, dim: int, index: Tensor) -> PackedTensor | None:
    place = _part_dim(packed, dim)
    if place is None:
        return None
    return packed.map(lambda part: part.index_select(place, index))


@on_packed(aten.t.default, aten.transpose.int)
def _transpose(packed: PackedTensor, first: int = 0, second: int = 1) -> PackedTensor | None:
    last = packed.dim() - 1
    if {first % packed.dim(), second % packed.dim()} != {last - 1, last}:
        return None
    return packed.map(aten.detach.default, transposed=not packed.transposed)


@on_packed(aten.permute.default)
def _permute(packed: PackedTensor, dims: Sequence[int]) -> PackedTensor | None:
    order = [dim % packed.dim() for dim in dims]
    swapped = list(range(packed.dim()))
    swapped[-2:] = reversed(swapped[-2:])
    if order == swapped:
        return _transpose(packed, -2, -1)
    return None


@on_packed(aten.copy_.default)
def _copy(packed: PackedTensor, source: object, non_blocking: bool = False) -> PackedTensor | None:
    if not isinstance(packed, PackedTensor) or not isinstance(source, PackedTensor):
        return None
    # Not into a part of a parameter: whoever writes one part of an expert may be refused the next.
    if not isinstance(packed, nn.Parameter):
        return None
    if packed.shape != source.shape or packed.__tensor_flatten__() != source.__tensor_flatten__():
        raise ModelError(f"{source} does not fit into {packed}: quantise with the same grid before loading")
    for name, part in packed.parts().items():
        part.copy_(getattr(source, name))
    return packed


# Products read the codes where a kernel takes them and nobody wants a gradient. Shapes: R rows, I inputs, O outputs;
# N experts.


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
