"""Which products read packed weights as they are: by the kernels where they can, else None and the dense weight."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn

from .....native.watching import are_operators_watched
from ...grid import Grid
from .codes import Codes, misfit
from .graph_products import experts_in_a_graph, linear_in_a_graph
from .native import PackedKernels, kernels, obstacle

# Shapes: R rows, I inputs, O outputs; T tokens, D width, K chosen experts, N experts, M hidden neurons.

_ORDINARY = (Tensor, nn.Parameter)
MOST_ROWS = 64
"""Rows up to which codes are read as they are on a GPU; more are multiplied with the dense weight, made once."""
_dense: ContextVar[bool] = ContextVar("dense products", default=False)


@contextmanager
def dense_products() -> Iterator[None]:
    """Within it, all products take the dense weights: the reference that the kernels are checked against.

    A compiled graph keeps what held when it was made.

    Example: `with dense_products(): exact = model(ids).logits`.
    """
    token = _dense.set(True)
    try:
        yield
    finally:
        _dense.reset(token)


def why_dense(weight: Codes) -> str | None:
    """Why products with this weight make the dense one, in words; None: they do not, where no gradient is wanted."""
    if weight.words.is_cuda:
        return _why_dense_on_gpu(weight)
    found = misfit(weight.grid, weight.columns)
    if found is not None:
        return found
    if not weight.words.is_cpu:
        return f"there are no kernels for {weight.words.device.type}"
    return obstacle(weight.scale.dtype, weight.grid.bits)


def linear(x: Tensor, weight: Codes, bias: Tensor | None = None) -> Tensor | None:
    """x W^T + bias for x (..., I), or None where the dense weight has to be made.

    Each entry is off by at most half a step of the inputs of its chunk, times the weights there: by the sum over the
    chunks c of max |x_c| / 254 * sum |W_c|, beside the rounding of float32 and of the result.
    """
    if torch.compiler.is_compiling():
        return linear_in_a_graph(x, weight, bias) if _in_a_graph(x, weight, bias) else None
    if x.is_cuda:
        return _on_gpu(x, weight, bias)
    library = _library(x, weight)
    if library is None or (bias is not None and not _plain(bias, x.dtype)):
        return None
    rows = x.reshape(-1, x.shape[-1])
    return library.linear(rows.contiguous(), weight, bias).view(*x.shape[:-1], weight.outputs)


def grouped(x_SI: Tensor, weight: Codes, ends_N: Tensor) -> Tensor | None:
    """Rows S in turn, up to `ends_N[e]` those of expert e, times its matrix: (S, O), rows after the last end 0."""
    library = _library(x_SI, weight)
    if library is None or x_SI.dim() != 2 or weight.words.dim() != 3:
        return None
    out_SO = x_SI.new_zeros(len(x_SI), weight.outputs)
    x_SI = x_SI.contiguous()
    begin = 0
    for expert, end in enumerate(ends_N.tolist()):
        if end > begin:
            out_SO[begin:end] = library.linear(x_SI[begin:end], weight.expert(expert))
        begin = end
    return out_SO


def experts(x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, gate_up: Codes, down: Codes) -> Tensor | None:
    """The whole layer of SwiGLU experts (T, D), see `PackedKernels.experts`, or None."""
    if torch.compiler.is_compiling():
        wanted = torch.is_grad_enabled() and weight_TK.requires_grad
        if wanted or gate_up.grid != down.grid or not (_in_a_graph(x_TD, gate_up) and _in_a_graph(x_TD, down)):
            return None
        return experts_in_a_graph(x_TD, index_TK, weight_TK, gate_up, down)
    library = _library(x_TD, gate_up)
    if library is None or gate_up.grid != down.grid or not _fits(down) or down.scale.dtype != x_TD.dtype:
        return None
    wanted = torch.is_grad_enabled() and weight_TK.requires_grad
    if wanted or not _plain(index_TK) or not _plain(weight_TK):
        return None
    if index_TK.dtype != torch.int64:
        index_TK = index_TK.to(torch.int64)
    if weight_TK.dtype != torch.float32:
        weight_TK = weight_TK.to(torch.float32)
    return library.experts(x_TD.contiguous(), index_TK.contiguous(), weight_TK.contiguous(), gate_up, down)


def _on_gpu(x: Tensor, weight: Codes, bias: Tensor | None) -> Tensor | None:
    """By the kernel of Triton, with the exact inputs: a few rows, where nobody wants a gradient; or None."""
    if _dense.get() or _why_dense_on_gpu(weight) is not None or x.dtype != weight.scale.dtype:
        return None
    few = 0 < x.numel() <= MOST_ROWS * weight.columns
    if not few or weight.words.dim() != 2 or torch.is_autocast_enabled("cuda") or are_operators_watched():
        return None
    if type(x) not in _ORDINARY or not (weight.words.is_contiguous() and weight.scale.is_contiguous()):
        return None
    if (weight.zero is not None and not weight.zero.is_contiguous()) or (torch.is_grad_enabled() and x.requires_grad):
        return None
    from . import _triton_packed

    rows = x.reshape(-1, weight.columns).contiguous()
    out = _triton_packed.linear(rows, weight).view(*x.shape[:-1], weight.outputs)
    return out if bias is None else out + bias


def _why_dense_on_gpu(weight: Codes) -> str | None:
    """As `why_dense`."""
    if 8 % weight.grid.bits:
        return f"codes of {weight.grid.bits} bits do not fill bytes: 2, 4 and 8 do"
    if weight.scale.dtype not in (torch.float32, torch.float16, torch.bfloat16):
        return f"there is no kernel for {weight.scale.dtype} on a GPU"
    if importlib.util.find_spec("triton") is None:
        return "the kernel for GPUs is of Triton, which is not installed"
    return None


def _fits(weight: Codes) -> bool:
    return misfit(weight.grid, weight.columns) is None and weight.whole


def _library(x: Tensor, weight: Codes) -> PackedKernels | None:
    """The kernels if they can multiply these and nobody wants a gradient or looks into the operators."""
    if _dense.get() or not _fits(weight):
        return None
    if not _plain(x, weight.scale.dtype) or x.numel() == 0 or x.shape[-1] != weight.columns:
        return None
    if torch.is_grad_enabled() and x.requires_grad:
        return None
    if torch.is_autocast_enabled("cpu") or are_operators_watched():
        return None
    library = kernels()
    if library is None or x.dtype not in library.dtypes or weight.grid.bits not in library.bits:
        return None
    return library


def _in_a_graph(x: Tensor, weight: Codes, bias: Tensor | None = None) -> bool:
    """Whether the kernels can multiply these where a graph will run; `_library` knows the tensors themselves."""
    if _dense.get() or not _kernel_for(weight.grid, weight.columns, weight.scale.dtype):
        return False
    if not (x.is_cpu and weight.words.is_cpu) or x.dtype != weight.scale.dtype:
        return False
    if bias is not None and bias.dtype != x.dtype:
        return False
    return not torch.is_autocast_enabled("cpu") and not (torch.is_grad_enabled() and x.requires_grad)


@torch.compiler.assume_constant_result  # a compiler cannot look into the building of a library
def _kernel_for(grid: Grid, columns: int, dtype: torch.dtype) -> bool:
    return misfit(grid, columns) is None and obstacle(dtype, grid.bits) is None


def _plain(tensor: Tensor, dtype: torch.dtype | None = None) -> bool:
    """Whether this is an ordinary dense tensor of the CPU, whose memory a pointer reaches, of this type if given."""
    fits = dtype is None or tensor.dtype == dtype
    return fits and tensor.is_cpu and type(tensor) in _ORDINARY and tensor.layout == torch.strided
