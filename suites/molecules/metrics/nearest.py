"""SNN: similarity to the nearest neighbour in the reference set."""

import numpy as np

from sparsebench.reports.records.record import Metric

from .fingerprints import shared_bits


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
