"""Which design computes the experts: the fastest exact one for the device, the dtype and the number of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._compile import _disable_dynamo

from ...native.watching import are_operators_watched
from .eager import Weights, check_devices, loop_experts
from .graph_experts import evaluated, swiglu_experts, trained_swiglu_experts
from .grouped_product import product_of_groups
from .native import Native, native
from .operators import Operators
from .training import TrainedExperts

# Shapes: T tokens, D width, K chosen experts, N experts, M hidden neurons of an expert, S (token, expert) pairs.

_TORCH = Operators()
_ORDINARY = (Tensor, nn.Parameter)
__all__ = ["Weights", "kernels", "run_experts"]


def run_experts(
    x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, weights: Weights, *, accumulate: bool = False
) -> Tensor:
    """Sum over the K chosen experts of weight times expert output, by the fastest way for these tensors.

    Args:
        x_TD: the tokens.
        index_TK: the experts of each; N stands for none.
        weight_TK: their weights.
        weights: the experts.
        accumulate: add gradients to those that are there (`TrainedExperts`).

    Returns:
        (T, D).
    """
    out_TD = _by_themselves(x_TD, index_TK, weight_TK, weights)
    if out_TD is not None:
        return out_TD
    # What follows calls into C++ or loops over counts: no graph can have that, and a GPU would have to be waited for.
    # Weights in a form of their own that came this far (quantised, with a bias) know products one by one alone.
    on_gpu = x_TD.is_cuda and not hasattr(type(weights.gate_up), "run_experts")
    if torch.compiler.is_compiling() or on_gpu:
        return _as_operators(x_TD, index_TK, weight_TK, weights)
    gate_up = weights.gate_up
    down = weights.down
    trains = torch.is_grad_enabled() and any(t.requires_grad for t in (x_TD, weight_TK, gate_up, down))
    dtype = _product_type(x_TD, weights, trains)
    watched = are_operators_watched()
    if dtype is None or not _plain(x_TD, weights) or not _in_memory(index_TK, weight_TK) or watched:
        few_shapes = x_TD.is_cpu and not watched and _narrow(x_TD, weights)
        return loop_experts(x_TD, index_TK, weight_TK, weights, few_shapes=few_shapes)
    library = _library(dtype)
    x_TD = x_TD.contiguous()
    if index_TK.dtype != torch.int64:
        index_TK = index_TK.to(torch.int64)
    index_TK = index_TK.contiguous()
    # The kernels take float32 weights and int64 indices, whatever the type of x.
    if library is not None and weight_TK.dtype != torch.float32:
        weight_TK = weight_TK.to(torch.float32)
    weight_TK = weight_TK.contiguous()
    if trains:
        return TrainedExperts.apply(x_TD, index_TK, weight_TK, gate_up, down, library or _TORCH, accumulate, dtype)
    return evaluated(x_TD, index_TK, weight_TK, gate_up, down, library)


def _by_themselves(x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, weights: Weights) -> Tensor | None:
    """What weights in a form of their own make of SwiGLU experts (quantised ones); None where they leave it to us."""
    if type(weights.gate_up) in _ORDINARY:
        return None
    # Asked of the class: a compiler finds no such attribute of the tensor.
    if (
        not hasattr(type(weights.gate_up), "run_experts")
        or not weights.gated
        or weights.bias is not None
        or not _is_silu(weights.activation)
    ):
        return None
    own: Any = weights.gate_up
    return own.run_experts(x_TD, index_TK, weight_TK, weights.down)


def _as_operators(x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, weights: Weights) -> Tensor:
    """The same in operators that have a place in a graph, or on a GPU: shapes do not depend on the choice."""
    kind_of_weight = type(weights.gate_up)
    if hasattr(kind_of_weight, "__tensor_flatten__") and not hasattr(kind_of_weight, "run_experts"):  # over processes
        return _between_graphs(x_TD, index_TK, weight_TK, weights)  # pyright: ignore[reportCallIssue]
    kind = x_TD.dtype
    if torch.is_autocast_enabled(x_TD.device.type) and kind != torch.float64:
        dtype = torch.get_autocast_dtype(x_TD.device.type)
        x_TD = x_TD.to(dtype)
        weights = weights._replace(gate_up=weights.gate_up.to(dtype), down=weights.down.to(dtype))
    ours = x_TD.is_cpu and weights.gated and weights.bias is None and _is_silu(weights.activation)
    if not (ours and x_TD.dtype == weights.gate_up.dtype == weights.down.dtype):
        check_devices(x_TD, weights)
        return grouped_experts(x_TD, index_TK, weight_TK, weights).to(kind)
    tensors = (x_TD, index_TK.to(torch.int64), weight_TK, weights.gate_up, weights.down)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return trained_swiglu_experts(*tensors)[0].to(kind)
    return swiglu_experts(*tensors).to(kind)


@_disable_dynamo  # `torch.compiler.disable` would import the compiler, for a second, with this module
def _between_graphs(x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, weights: Weights) -> Tensor:
    """The loop, not compiled: rows per expert are shapes in it, and every new choice would be compiled again."""
    return loop_experts(x_TD, index_TK, weight_TK, weights)


def kernels(x_TD: Tensor, weight: Tensor) -> Native | None:
    """The C++ kernels if they can take these tensors, nobody wants a gradient and nobody looks into the operators."""
    if not _in_memory(x_TD, weight) or x_TD.dtype != weight.dtype or len(x_TD) == 0 or are_operators_watched():
        return None
    if torch.is_autocast_enabled("cpu"):
        return None
    if torch.is_grad_enabled() and (x_TD.requires_grad or weight.requires_grad):
        return None
    return _library(x_TD.dtype) if x_TD.is_contiguous() and weight.is_contiguous() else None


def _product_type(x_TD: Tensor, weights: Weights, trains: bool) -> torch.dtype | None:
    """The type that our own designs multiply in; None where they have none for these tensors.

    Under autocast they do in training what autocast does, narrow copies of everything. In evaluation the loop copies
    the chosen experts alone. Autocast leaves float64 as it is.
    """
    types = {x_TD.dtype, weights.gate_up.dtype, weights.down.dtype}
    wanted = x_TD.dtype
    if torch.is_autocast_enabled("cpu") and torch.float64 not in types:
        wanted = torch.get_autocast_dtype("cpu")
        if trains:
            return wanted
    return wanted if types == {wanted} else None


def _narrow(x_TD: Tensor, weights: Weights) -> bool:
    """Whether the loop's products are of bfloat16, which oneDNN compiles again for each number of rows."""
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") is torch.bfloat16 and x_TD.dtype is not torch.float64
    return x_TD.dtype is weights.down.dtype is torch.bfloat16


def _plain(x_TD: Tensor, weights: Weights) -> bool:
    """Whether these are what our own designs are for: SwiGLU experts without bias on a CPU."""
    return (
        weights.gated
        and weights.bias is None
        and _is_silu(weights.activation)
        and _in_memory(x_TD, weights.gate_up, weights.down)
        and weights.gate_up.is_contiguous()
        and weights.down.is_contiguous()
        and len(x_TD) > 0
    )


def _in_memory(*tensors: Tensor) -> bool:
    """Whether all are ordinary dense tensors of the CPU, whose memory a pointer reaches.

    A subclass (distributed, quantised) may have none, nor has a weight that was moved away (meta).
    """
    for tensor in tensors:
        if not tensor.is_cpu or type(tensor) not in _ORDINARY or tensor.layout != torch.strided:
            return False
    return True


def _is_silu(activation: Callable[[Tensor], Tensor]) -> bool:
    kind = type(activation)
    name = f"{kind.__module__}.{kind.__qualname__}"
    return activation is F.silu or kind is nn.SiLU or name == "transformers.activations.SiLUActivation"


def _library(dtype: torch.dtype) -> Native | None:
    library = native()
    return library if library is not None and dtype in library.dtypes else None


def grouped_experts(x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, weights: Weights) -> Tensor:
    """Sum over the chosen experts of weight times expert output, (T, D), with autograd. An index of N: no expert."""
    experts = len(weights.down)
    top_k = index_TK.shape[1]
    index_S = index_TK.flatten()
    # A product leaves rows beyond the last expert unwritten, forward and backward: pairs without an expert go to the
    # last one, with weight 0 and no gradient.
    weight_S = weight_TK.flatten().masked_fill(index_S == experts, 0)
    index_S = index_S.clamp(max=experts - 1)
    sorted_S, order_S = index_S.sort(stable=True)
    # The row behind the last one of each expert, found on the device: counting there would bring no number to the host.
    bounds_N = torch.arange(1, experts + 1, device=index_S.device)
    ends_N = torch.searchsorted(sorted_S, bounds_N).to(torch.int32)
    token_S = order_S // top_k
    inward_SM = product_of_groups(x_TD[token_S], weights.gate_up.transpose(1, 2), ends_N)
    if weights.bias is not None:
        inward_SM = inward_SM + weights.bias[sorted_S].to(inward_SM.dtype)
    if weights.gated:
        gate_SM, up_SM = inward_SM.chunk(2, dim=-1)
        acted_SM = weights.activation(gate_SM) * up_SM
    else:
        acted_SM = weights.activation(inward_SM)
    weight_S1 = weight_S[order_S].to(acted_SM.dtype).unsqueeze(-1)
    out_SD = product_of_groups(acted_SM * weight_S1, weights.down.transpose(1, 2), ends_N)
    return torch.zeros_like(x_TD).index_add(0, token_S, out_SD.to(x_TD.dtype))
