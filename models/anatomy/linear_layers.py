"""Any linear map of the last dimension as matrix and bias, whatever class holds it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ..errors import ModelError


class LinearView(NamedTuple):
    """Views of the parameters of y = x W^T + b: weight (out, in) and bias (out,) or None. Writing goes through."""

    weight: Tensor
    bias: Tensor | None


def is_linear(module: nn.Module) -> bool:
    """Whether a module is a plain dense `nn.Linear` with floating-point weights (not quantised, not wrapped).

    Args:
        module: any module.
    """
    return type(module) is nn.Linear and _is_dense(module.weight)


def is_transposed_linear(module: nn.Module) -> bool:
    """Whether a module is the `Conv1D` of transformers (GPT-2), a linear layer whose weight is (in, out)."""
    kind = (type(module).__module__, type(module).__qualname__)
    return kind == ("transformers.pytorch_utils", "Conv1D") and _is_dense(module.weight)


def _is_graph_linear(module: nn.Module) -> bool:
    """Whether a module is the `Linear` of torch_geometric, by name: it need not be installed.

    One that takes its number of inputs from the first batch has no matrix until then.
    """
    kind = (type(module).__module__, type(module).__qualname__)
    return kind == ("torch_geometric.nn.dense.linear", "Linear") and _is_dense(module.weight)


def has_linear_view(module: nn.Module) -> bool:
    """Whether `linear_view` knows this module: a plain `nn.Linear`, that of torch_geometric, transformers' `Conv1D`.

    Args:
        module: any module.
    """
    return is_linear(module) or _is_graph_linear(module) or is_transposed_linear(module)


def linear_view(module: Any, path: str = "the module", use: str = "this") -> LinearView:
    """The matrix and bias of a linear module (views).

    Args:
        module: an `nn.Linear`, or that of torch_geometric, or a `Conv1D` of transformers, whose matrix is transposed.
        path: its name in an error.
        use: what it is needed for, in an error.

    Returns:
        `weight` (outputs, inputs) and `bias` (outputs,), or None for a bias that is not there.

    Raises:
        ModelError: any other module, such as a quantised one.

    >>> linear_view(nn.Linear(3, 5)).weight.shape
    torch.Size([5, 3])
    """
    if is_linear(module) or _is_graph_linear(module):
        return LinearView(module.weight, module.bias)
    if is_transposed_linear(module):
        return LinearView(module.weight.t(), module.bias)
    raise ModelError(
        f"{path} is a {type(module).__name__}: {use} needs a plain nn.Linear (or Conv1D of transformers) with "
        "floating-point weights; dequantise it, or remove its adapter, first"
    )


def check_own_weight(module: nn.Module, path: str) -> None:
    """Refuse a layer whose weight is no parameter of it: what is written there is soon written over.

    So do weight norm and spectral norm, torch's own pruning and parametrizations, which make it of other tensors at
    each call.

    Args:
        module: a layer that is to be written to.
        path: its name in the error.

    Raises:
        ModelError: such a layer.
    """
    if "weight" in module._parameters or not isinstance(getattr(module, "weight", None), Tensor):
        return
    raise ModelError(
        f"the weight of {path} is made at each call of other tensors (weight norm, spectral norm, torch's own "
        "pruning, a parametrization), so that a change of it would be lost: take that off first, as by "
        "torch.nn.utils.remove_weight_norm or torch.nn.utils.prune.remove"
    )


def _is_dense(weight: object) -> bool:
    if not isinstance(weight, Tensor) or is_lazy(weight):
        return False
    return weight.is_floating_point() and weight.layout == torch.strided
