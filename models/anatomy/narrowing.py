"""Experts with fewer hidden neurons, as they lie in memory: which entries of a fused parameter stay."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .linear_layers import linear_view
from .sites import Site

# Shapes: N experts, F hidden neurons of an expert, K of them that stay.

_WIDTHS = ("intermediate_dim", "intermediate_size", "moe_intermediate_size", "expert_dim")
"""What fused experts call the number of their hidden neurons."""


def checked_neurons(kept: Sequence[Tensor], sizes: Sequence[int]) -> list[Tensor]:
    """The indices of each expert's neurons that stay, int64.

    Raises `ModelError` for another number of experts, and for neurons that repeat or are not there, or none.
    """
    if len(kept) != len(sizes):
        raise ModelError(f"neurons of {len(kept)} experts were named, but there are {len(sizes)}")
    found: list[Tensor] = []
    for expert, (neurons, size) in enumerate(zip(kept, sizes, strict=True)):
        chosen = [int(neuron) for neuron in neurons]
        if not chosen or len(set(chosen)) < len(chosen) or min(chosen) < 0 or max(chosen) >= size:
            raise ModelError(f"expert {expert} keeps different neurons of 0..{size - 1}, at least one, not {chosen}")
        found.append(torch.tensor(chosen))
    return found


def stacked(kept: Sequence[Tensor]) -> Tensor:
    """The indices of all experts (N, K). Raises `ModelError` where experts would have different numbers of neurons."""
    sizes = {len(neurons) for neurons in kept}
    if len(sizes) > 1:
        raise ModelError(f"experts in one parameter keep equally many neurons each, not {sorted(sizes)}")
    return torch.stack(list(kept))


def take(site: Site, index: Tensor, dim: int) -> None:
    """Cut the parameter at `site` (N, ...) along a dimension to other entries for each expert, index (N, K)."""
    value = site.tensor()
    shape = [1] * value.dim()
    shape[0] = len(index)
    shape[dim] = index.shape[1]
    cut = torch.take_along_dim(value.detach(), index.to(value.device).view(shape), dim)
    setattr(site.parent, site.name, nn.Parameter(cut, requires_grad=value.requires_grad))


def take_linear(parent: nn.Module, name: str, kept: Tensor, *, rows: bool) -> None:
    """Put a linear layer with these outputs (`rows`) or inputs of the one at `parent.name` in its place."""
    old = linear_view(getattr(parent, name), name, "fewer neurons")
    kept = kept.to(old.weight.device)
    weight = old.weight.detach()
    bias = old.bias
    if rows:
        weight = weight[kept]
        bias = None if bias is None else bias[kept]
    else:
        weight = weight[:, kept]
    new = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, weight.device, weight.dtype)
    with torch.no_grad():
        new.weight.copy_(weight)
        if bias is not None:
            new.bias.copy_(bias)
    new.train(getattr(parent, name).training)
    setattr(parent, name, new)


def tell_width(module: nn.Module, width: int) -> None:
    """Write the number of hidden neurons to the attributes of a module that hold it."""
    for name in _WIDTHS:
        if isinstance(getattr(module, name, None), int):
            setattr(module, name, width)
