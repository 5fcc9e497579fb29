"""How many entries each weight keeps: budgets per layer that sum exactly, and budgets per round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

Schedule = Literal["exponential", "linear"]


def kept_after(step: int, rounds: int, start: int, end: int, schedule: Schedule) -> int:
    """Entries left after round `step` of `rounds`, from `start` before the first one to `end` after the last.

    "exponential": start (end / start)^(step / rounds), the same share in every round. "linear": the same number.
    """
    part = step / rounds
    if schedule == "linear":
        return round(start - (start - end) * part)
    if start == 0:
        return 0
    return round(start * (end / start) ** part)


def raw_density(shape: Sequence[int], kernel: bool) -> float:
    """Erdos-Renyi: (n_in + n_out) / (n_in n_out); with `kernel`, (n_in + n_out + k_h + k_w) / (n_in n_out k_h k_w).

    Mocanu et al. (arXiv 1707.04780) and Evci et al. (arXiv 1911.11134, ERK). Both are the same for a linear layer.
    """
    counted = shape if kernel else shape[:2]
    sizes = torch.tensor(counted, dtype=torch.float64)
    return float(sizes.sum() / sizes.prod())


def erdos_renyi(shapes: Sequence[Sequence[int]], left: Sequence[int], keep: int, *, kernel: bool) -> list[int]:
    """Entries to keep per weight: `keep` in total, densities epsilon times `raw_density`, at most the `left` entries.

    A weight that would exceed what it has keeps all of it, and epsilon is solved again for the others. Fractions are
    rounded by largest remainder, so every weight is within one entry of its share.
    """
    raw: list[float] = []
    for shape in shapes:
        size = torch.Size(shape).numel()
        raw.append(raw_density(shape, kernel) * size)
    fractions = _fractions(raw, left, keep)
    return _round_to_sum(fractions, keep)


def _fractions(raw: Sequence[float], left: Sequence[int], keep: int) -> list[float]:
    """epsilon * raw, but at most `left`, with the one epsilon for which the sum is `keep`."""
    full: set[int] = set()
    while True:
        solved = set(range(len(raw))) - full
        if not solved:
            return [float(size) for size in left]
        budget = keep - sum(left[i] for i in full)
        epsilon = budget / sum(raw[i] for i in solved)
        # Weights that are full now leave less to the others, of which more can be full then: again until none is.
        over = {i for i in solved if epsilon * raw[i] > left[i]}
        if not over:
            break
        full |= over
    fractions = [epsilon * value for value in raw]
    for i in full:
        fractions[i] = float(left[i])
    return fractions


def _round_to_sum(fractions: Sequence[float], total: int) -> list[int]:
    """Shares rounded to whole numbers of the given sum: the largest remainders go up, the earlier first."""
    # A share that is a whole number but for the rounding of its computation counts as that number.
    whole = [int(fraction + 1e-9) for fraction in fractions]
    by_remainder = sorted(range(len(fractions)), key=lambda i: whole[i] - fractions[i])
    for i in by_remainder[: total - sum(whole)]:
        whole[i] += 1
    return whole
