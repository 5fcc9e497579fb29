"""Mixing molecules by their graph words (GraphsGPT, arXiv 2402.02464; mixup: Zhang et al., arXiv 1710.09412)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import ModelError

# Shapes: N molecules, K words, D width, T targets, C classes.

CHUNK = 1024
"""Molecules whose distances to all others are held at once."""


def neighbours(words: Tensor, rank: int = 2) -> Tensor:
    """The partner of each molecule, int64 (N,): its `rank`-th nearest other one by the L2 distance of words (N, ...).

    The released code ranks softmax(exp(-d)) of standardised distances with itself masked and takes the second entry,
    `rank` 2: all these maps are monotonic, so distances alone decide. Of equal distances the lower number comes first.
    With fewer than `rank` others it is the farthest. Raises `ModelError` for less than two molecules or rank 1.
    """
    if len(words) < 2 or rank < 1:
        raise ModelError(f"{len(words)} molecules and rank={rank}: a neighbour needs two molecules and a rank from 1")
    flat = words.detach().flatten(1)
    rank = min(rank, len(words) - 1)
    found = []
    for start in range(0, len(flat), CHUNK):
        part = flat[start : start + CHUNK]
        distances = torch.cdist(part, flat)
        distances[torch.arange(len(part)), torch.arange(start, start + len(part))] = torch.inf
        found.append(distances.sort(dim=1, stable=True).indices[:, rank - 1])
    return torch.cat(found)


def draw_fractions(count: int, alpha: float, generator: torch.Generator) -> Tensor:
    """Shares of the first of two molecules, float32 (N,), from Beta(alpha, alpha); alpha 1 is uniform (published).

    Raises `ModelError` for an alpha that is not above 0.
    """
    if not alpha > 0:
        raise ModelError(f"alpha={alpha} must be above 0: shares are drawn from Beta(alpha, alpha)")
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, count)).float()


def mix(words_a: Tensor, words_b: Tensor, fraction: Tensor) -> Tensor:
    """fraction * a + (1 - fraction) * b for words or features (N, ...) and fractions (N,)."""
    fraction = fraction.to(words_a).view(-1, *[1] * (words_a.ndim - 1))
    return fraction * words_a + (1 - fraction) * words_b


def mix_labels(labels_a: Tensor, labels_b: Tensor, fraction: Tensor, classes: int | None = None) -> Tensor:
    """The labels of mixed molecules: soft, float, from (N, T) values or (N,) class numbers.

    A value is missing (NaN) where either of the two is. Whole numbers of any type are class numbers and become
    probabilities (N, C), C being `classes`; truth values are the values 0 and 1. Raises `ModelError` for class numbers
    without `classes`.
    """
    if labels_a.dtype == torch.bool:
        return mix(labels_a.float(), labels_b.float(), fraction)
    if not labels_a.is_floating_point():
        if classes is None:
            raise ModelError("whole numbers are class numbers and need `classes`, how many there are (values: floats)")
        labels_a = torch.nn.functional.one_hot(labels_a.long(), classes).float()
        labels_b = torch.nn.functional.one_hot(labels_b.long(), classes).float()
    return mix(labels_a, labels_b, fraction)
