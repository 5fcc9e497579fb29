"""Molecules are featurised once per process: rows of a table come back in every cell."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, Self, TypeVar


class Item(Protocol):
    """Features of a molecule: a tensor or a graph."""

    def clone(self) -> Self:
        """A copy with memory of its own."""
        ...


T = TypeVar("T", bound=Item)


def featurise_once(cache: dict[str, T], raw: Sequence[str], compute: Callable[[Sequence[str]], Iterable[T]]) -> list[T]:
    """Look up each string in `cache`; compute the whole list if one is new, so that an error names its row.

    What is given is a copy, so that nobody edits what is remembered.
    """
    if not cache.keys() >= set(raw):
        cache.update(zip(raw, compute(raw), strict=True))
    return [cache[smiles].clone() for smiles in raw]
