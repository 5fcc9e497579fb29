"""How far data sets are from each other, seen from the experts that their tokens choose, or from any vectors."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from ..errors import MixtureError
from .weights import checked_choice

Distance = Literal["l2", "cosine", "inverse"]
Criterion = Literal["mean", "min", "max"]
DISTANCES = ("l2", "cosine", "inverse")
CRITERIA = ("mean", "min", "max")
_EXTREME_OF_COSINES: dict[Criterion, Criterion] = {"mean": "mean", "min": "max", "max": "min"}


def distance_matrix(vectors: Mapping[str, np.ndarray], names: Sequence[str], distance: Distance = "l2") -> np.ndarray:
    """Distances between data sets: (N, N), symmetric, 0 on the diagonal.

    Args:
        vectors: (layers, features) by data set; the distance is the mean of those in the layers.
        names: the order of the data sets.
        distance: "l2" (and "inverse", which reads it the other way round later) is the norm of the difference, MoE-SFT
            equation 2; "cosine" is 1 - the cosine.

    Returns:
        The matrix.

    Raises:
        MixtureError: a vector without length where a cosine is asked for.
    """
    stacked_NLE = np.stack([np.asarray(vectors[name], dtype=np.float64) for name in names])
    if checked_choice("distance", distance, DISTANCES) != "cosine":
        differences_NNLE = stacked_NLE[:, None] - stacked_NLE[None, :]
        return np.sqrt((differences_NNLE**2).sum(axis=-1)).mean(axis=-1)
    norms_NL1 = np.linalg.norm(stacked_NLE, axis=-1, keepdims=True)
    if (norms_NL1 == 0).any():
        raise MixtureError("a vector of zeros has no cosine to any other; use the distance 'l2'")
    unit_NLE = stacked_NLE / norms_NL1
    cosines_LNN = np.einsum("nle,mle->lnm", unit_NLE, unit_NLE)
    distances_NN = 1 - cosines_LNN.mean(axis=0)
    np.fill_diagonal(distances_NN, 0)  # a data set is at no distance from itself, without rounding
    return distances_NN


def deltas(
    distances_NN: np.ndarray, distance: Distance = "l2", criterion: Criterion = "mean", faithful: bool = False
) -> np.ndarray:
    """How far each data set is from the others: (N,).

    Args:
        distances_NN: what `distance_matrix` gave.
        distance: "inverse" gives the largest delta to the data set that has the smallest, and so on: the inverse
            hypothesis.
        criterion: "mean" divides by N, for the distance 0 from itself is among them (MoE-SFT, equation 3); "min" and
            "max" are the nearest and the farthest of the others.
        faithful: the released code has the data set itself among them, so that the nearest is always 0 and moves
            nothing, and takes the extreme of cosines rather than of distances, so that its "min" of cosines is the
            farthest.

    Returns:
        The deltas.
    """
    checked_choice("criterion", criterion, CRITERIA)
    if faithful and distance == "cosine":
        criterion = _EXTREME_OF_COSINES[criterion]
    if criterion == "mean":
        delta_N = distances_NN.mean(axis=1)
    elif criterion == "max":
        delta_N = distances_NN.max(axis=1)
    else:
        own_NN = np.diag(np.full(len(distances_NN), 0.0 if faithful else np.inf))
        delta_N = (distances_NN + own_NN).min(axis=1)
    if distance != "inverse":
        return delta_N
    return reverse_ranks(delta_N, share_ties=not faithful)


def reverse_ranks(delta_N: np.ndarray, share_ties: bool = True) -> np.ndarray:
    """The same values, the largest where the smallest was, and so on: (N,).

    Where several are equal, their order says nothing: they share the mean of what they would get. Without
    ``share_ties`` their places decide; in the released code the order does in which a sort happens to leave them.
    """
    ascending_N = np.argsort(delta_N, kind="stable")
    reversed_N = np.empty_like(delta_N)
    reversed_N[ascending_N] = delta_N[ascending_N][::-1]
    if share_ties:
        for value in np.unique(delta_N):
            tied_N = delta_N == value
            reversed_N[tied_N] = reversed_N[tied_N].mean()
    return reversed_N
