"""How unlike each other the generated molecules are, and how like their nearest neighbour in a reference."""

import numpy as np

from sparsebench.reports.records.record import Metric

from .fingerprints import shared_bits

_ROWS = 256  # with a block of columns, 1 MB of float32


def internal_diversity(fingerprints: np.ndarray) -> tuple[Metric, Metric]:
    """IntDiv and IntDiv2 of fingerprints (N, bits), over all N x N pairs, each molecule with itself included.

    IntDiv_p is 1 - mean_i (mean_j T_ij ** p) ** (1 / p) with Tanimoto similarities T: MOSES's code takes the root of
    each row, its paper that of the whole mean, which gives a smaller or equal IntDiv2. Raises ValueError for N = 0.
    """
    n = len(fingerprints)
    if n == 0:
        raise ValueError("the diversity of no molecules is not defined")
    first, second = _row_sums(fingerprints)
    return _metric(1 - (first / n).mean(), n), _metric(1 - np.sqrt(second / n).mean(), n)


def _metric(value: np.floating, n: int) -> Metric:
    return Metric(value=float(value), n=n, higher_is_better=True, unit="")


def _row_sums(fingerprints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over j of T_ij and of its square, float64 (N,) each."""
    counts = fingerprints.sum(1, dtype=np.float32)
    first = np.zeros(len(counts))
    second = np.zeros(len(counts))
    for part, shared in shared_bits(fingerprints, fingerprints, np.arange(len(counts))):
        for start in range(0, len(counts), _ROWS):
            rows = slice(start, start + _ROWS)
            similarity = shared[rows].astype(np.float32)
            similarity /= counts[rows, None] + counts[part] - similarity
            first[rows] += similarity.sum(1)
            second[rows] += np.einsum("ij,ij->i", similarity, similarity)
    return first, second


def snn(fingerprints: np.ndarray, reference: np.ndarray) -> Metric:
    """Mean over the molecules of the largest Tanimoto similarity to any reference molecule, with its standard error.

    Fingerprints (N, bits) and (M, bits), uint8. N does not bias it; a smaller reference lowers it.
    Raises ValueError for N = 0 or M = 0.
    """
    if not len(fingerprints) or not len(reference):
        raise ValueError("the similarity to a nearest neighbour needs molecules on both sides")
    nearest = nearest_similarities(fingerprints, reference)
    n = len(nearest)
    stderr = None
    if n > 1:
        stderr = float(nearest.std(ddof=1) / n**0.5)
    return Metric(value=float(nearest.mean()), stderr=stderr, n=n, higher_is_better=True, unit="")


def nearest_similarities(fingerprints: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Largest Tanimoto similarity of each of N fingerprints to any of M, float64 (N,).

    Among reference fingerprints of one size, the most similar is the one that shares most bits. So the reference is
    sorted by size, and all the work on N x M pairs is on bytes.
    """
    sizes = reference.sum(1, dtype=np.int64)
    counts = fingerprints.sum(1, dtype=np.int64)
    nearest = np.zeros(len(fingerprints))
    for part, shared in shared_bits(fingerprints, reference, np.argsort(sizes, kind="stable")):
        starts = np.flatnonzero(np.diff(sizes[part], prepend=-1))
        most = np.maximum.reduceat(shared, starts, axis=1).astype(np.float64)
        union = counts[:, None] + sizes[part[starts]] - most
        np.maximum(nearest, (most / union).max(1), out=nearest)
    return nearest
