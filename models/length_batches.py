"""Batches of rows of nearly the same length, so that little is padding."""

from collections.abc import Sequence

import numpy as np
import torch

from .errors import ModelError


def length_batches(
    lengths: Sequence[int] | np.ndarray,
    batch_size: int,
    generator: torch.Generator | None = None,
    *,
    pool: int | None = None,
    drop_last: bool = False,
    keep_empty: bool = False,
) -> list[np.ndarray]:
    """Rows of each batch of an epoch, sorted by length, so that little is padding.

    With a generator, rows of the same length are shuffled before and the batches after; the same state gives the same
    batches. Without, the shortest come first, in the order given.

    Args:
        lengths: of each row.
        batch_size: rows of a batch, at least 1.
        generator: what shuffles; None keeps the order.
        pool: only that many batches of random rows are sorted among each other, so that batches differ from epoch to
            epoch; None sorts all.
        drop_last: random rows that would make a smaller last batch are in none.
        keep_empty: rows of length 0 are in batches too.

    Returns:
        Row numbers, int64, of each batch.

    Raises:
        ModelError: a `batch_size` below 1.
    """
    if batch_size < 1:
        raise ModelError(f"batch_size={batch_size} must be at least 1")
    lengths = np.asarray(lengths)
    rows = np.arange(len(lengths)) if keep_empty else np.flatnonzero(lengths)
    if generator is not None:
        rows = rows[torch.randperm(len(rows), generator=generator).numpy()]
    if drop_last:
        rows = rows[: len(rows) // batch_size * batch_size]
    size = len(rows) if pool is None else pool * batch_size
    batches: list[np.ndarray] = []
    for start in range(0, len(rows), max(1, size)):
        part = rows[start : start + size]
        part = part[lengths[part].argsort(kind="stable")]
        batches += [part[first : first + batch_size] for first in range(0, len(part), batch_size)]
    if generator is None:
        return batches
    order = torch.randperm(len(batches), generator=generator).tolist()
    return [batches[index] for index in order]


def padding_fraction(lengths: Sequence[int] | np.ndarray, batches: Sequence[np.ndarray]) -> float:
    """Fraction of the positions of all batches that are padding.

    Args:
        lengths: of each row.
        batches: row numbers of each batch, as `length_batches` gives them.

    Returns:
        A number from 0 to 1; 0 without batches.
    """
    lengths = np.asarray(lengths)
    tokens = 0
    positions = 0
    for batch in batches:
        tokens += int(lengths[batch].sum())
        positions += len(batch) * int(lengths[batch].max())
    if positions == 0:
        return 0.0
    return 1 - tokens / positions
