"""How far results of ours may lie from those of others: tests say it here, and the table of parity listens to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

_LISTENERS: list[list[Figure]] = []


class Figure(NamedTuple):
    """One comparison: of what, the largest absolute difference, the greatest absolute value of what was expected, and
    the largest difference allowed, 0 where all must be equal."""

    what: str
    difference: float
    scale: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Not so where the difference is NaN."""
        return self.difference <= self.allowed

    @property
    def relative(self) -> float:
        return self.difference / self.scale if self.scale else self.difference


@contextmanager
def figures() -> Iterator[list[Figure]]:
    """All comparisons that are made meanwhile, those that fail too."""
    heard: list[Figure] = []
    _LISTENERS.append(heard)
    try:
        yield heard
    finally:
        _LISTENERS.remove(heard)


def agree(found: Tensor, expected: Tensor, what: str, *, within: float = 0.0, where: str = "") -> None:
    """See that two tensors are equal, or differ by at most `within` times the greatest absolute value expected."""
    figure = compared(found.detach(), expected.detach(), what, within)
    for heard in _LISTENERS:
        heard.append(figure)
    assert figure.holds, f"{where or what}: {figure.difference:.3g} of {figure.scale:.3g}, allowed {figure.allowed:.3g}"


def compared(found: Tensor, expected: Tensor, what: str, within: float) -> Figure:
    assert found.shape == expected.shape, (what, found.shape, expected.shape)
    assert found.dtype == expected.dtype, (what, found.dtype, expected.dtype)
    scale = expected.double().abs().max().item()
    assert scale > 0 or within == 0, f"{what}: nothing can be near to zeros alone"
    # Infinities that are equal have no difference, though their subtraction has none either.
    equal = torch.equal(found, expected)
    difference = 0.0 if equal else (found.double() - expected.double()).abs().max().item()
    return Figure(what, difference, scale, within * scale if within else 0.0)
