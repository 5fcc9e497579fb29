"""Molecules are featurised once per process: rows of a table come back in every cell."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def featurise_once(cache: dict[str, T], raw: Sequence[str], compute: Callable[[Sequence[str]], Iterable[T]]) -> list[T]:
    """Look up each string in `cache`; compute the whole list if one is new, so that an error names its row."""
    if not cache.keys() >= set(raw):
        cache.update(zip(raw, compute(raw), strict=True))
    return [cache[smiles] for smiles in raw]
