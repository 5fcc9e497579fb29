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
    return round(start * (end / start) ** part) if start else 0


def raw_density(shape: Sequence[int], kernel: bool) -> float:
    """Erdos-Renyi: (n_in + n_out) / (n_in n_out); with `kernel`, (n_in + n_out + k_h + k_w) / (n_in n_out k_h k_w).

    Mocanu et al. (arXiv 1707.04780) and Evci et al. (arXiv 1911.11134, ERK). Both are the same for a linear layer.
    """
    sizes = torch.tensor(shape if kernel else shape[:2], dtype=torch.float64)
    return float(sizes.sum() / sizes.prod())


def erdos_renyi(shapes: Sequence[Sequence[int]], left: Sequence[int], keep: int, *, kernel: bool) -> list[int]:
    """Entries to keep per weight: `keep` in total, densities epsilon times `raw_density`, at most the `left` entries.

    A weight that would exceed what it has keeps all of it, and epsilon is solved again for the others. Fractions are
    rounded by largest remainder, so every weight is within one entry of its share.
    """
    sizes = [float(torch.Size(shape).numel()) for shape in shapes]
    parts = [raw_density(shape, kernel) * size for shape, size in zip(shapes, sizes, strict=True)]
    full: set[int] = set()
    while True:
        open_ = [i for i in range(len(parts)) if i not in full]
        budget = keep - sum(left[i] for i in full)
        epsilon = budget / sum(parts[i] for i in open_) if open_ else 0.0
        over = {i for i in open_ if epsilon * parts[i] > left[i]}
        if not over:
            break
        full |= over
    return _whole([float(left[i]) if i in full else epsilon * parts[i] for i in range(len(parts))], keep)


def _whole(shares: list[float], total: int) -> list[int]:
    """Shares rounded to whole numbers of the given sum: the largest remainders go up, the earlier first."""
    floors = [int(share + 1e-9) for share in shares]
    ranked = sorted(range(len(shares)), key=lambda i: floors[i] - shares[i])
    up = set(ranked[: total - sum(floors)])
    return [floor + (i in up) for i, floor in enumerate(floors)]
