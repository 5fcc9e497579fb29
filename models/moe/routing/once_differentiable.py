"""Derivatives that have none themselves."""

from collections.abc import Callable
from typing import Any, TypeVar

from torch.autograd.function import once_differentiable as _once_differentiable

Gradients = TypeVar("Gradients")


def once_differentiable(backward: Callable[..., Gradients]) -> Callable[..., Gradients]:
    """`backward` of a function, without a graph of its own: a second derivative raises RuntimeError.

    torch's decorator says of its result that `ctx` has no name, so that no `backward` could be one.
    """
    decorated: Callable[..., Any] = _once_differentiable(backward)
    return decorated
