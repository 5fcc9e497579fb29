"""The dtype of each tensor of a model: routers of several families stay in float32 in a model of bfloat16."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

import torch
from torch import Tensor, nn


def dtypes_of(model: nn.Module) -> dict[str, torch.dtype]:
    """The dtypes of parameters and buffers, by name.

    Args:
        model: any model.
    """
    return {name: value.dtype for name, value in _tensors(model)}


def restore_dtypes(model: nn.Module, dtypes: Mapping[str, torch.dtype]) -> None:
    """Cast parameters and buffers, in place; those that have no name in `dtypes` stay.

    Args:
        model: any model.
        dtypes: what `dtypes_of` gave.
    """
    for name, value in _tensors(model):
        value.data = value.data.to(dtypes.get(name, value.dtype))


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return chain(model.named_parameters(), model.named_buffers())
