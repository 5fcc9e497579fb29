"""Batches of molecules of nearly the same length, so that little is padding."""

from collections.abc import Sequence

import numpy as np
import torch

from ...errors import ModelError


def length_batches(
    lengths: Sequence[int] | np.ndarray, batch_size: int, generator: torch.Generator | None = None
) -> list[np.ndarray]:
    """Row numbers, int64, of each batch of an epoch; every row with length > 0 is in one batch, the last one is kept.

    Rows are sorted by length and cut into batches. With a generator, rows of the same length are shuffled before and
    the batches after; the same state gives the same batches. Without, the shortest come first, in the order given.
    """
    if batch_size < 1:
        raise ModelError(f"batch_size={batch_size} must be at least 1")
    lengths = np.asarray(lengths)
    rows = np.flatnonzero(lengths)
    if generator is not None:
        rows = rows[torch.randperm(len(rows), generator=generator).numpy()]
    rows = rows[lengths[rows].argsort(kind="stable")]
    batches = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    if generator is None:
        return batches
    order = torch.randperm(len(batches), generator=generator).tolist()
    return [batches[index] for index in order]


def padding_fraction(lengths: Sequence[int] | np.ndarray, batches: Sequence[np.ndarray]) -> float:
    """Fraction of the positions of all batches that are padding."""
    lengths = np.asarray(lengths)
    tokens = 0
    positions = 0
    for batch in batches:
        tokens += int(lengths[batch].sum())
        positions += len(batch) * int(lengths[batch].max())
    if positions == 0:
        return 0.0
    return 1 - tokens / positions
