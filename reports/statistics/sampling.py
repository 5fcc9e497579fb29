"""How much of a score's error comes from the choice of its examples, which may come in clusters.

Windows that were cut from one document are more alike than windows of different ones, so that the document is what was
drawn, and not the window (for evaluations of language models: Miller 2024, arXiv:2411.00640). The variance of the mean
m of N examples in C clusters is the jackknife's, which leaves out one cluster at a time (Wolter 2007, Introduction to
Variance Estimation, chapter 4):

    (C - 1) / C * sum over clusters of (p / (1 - p) * (x - m))²

where p is the cluster's share of the examples and x their mean, with C - 1 degrees of freedom. Where every example is
a cluster, this is the usual formula; where clusters are of unequal size, the linearised one, C / (C - 1) times the sum
of (p * (x - m))², is too small, because a large cluster draws the mean towards itself. With one cluster of 40 examples
among eleven of one, 95 % intervals cover in 24 to 57 % of the draws by that, and in 87 to 90 % by this; with sizes as
of windows of documents (3, 2, 2, 1, 1) in 95 %.

A stratum of one cluster has no spread of its own. In a mean over strata (domains, with one document of each) such are
collapsed: the spread between them stands in for that inside them, which counts their differences as noise and errs on
the safe side (Wolter 2007, section 2.5). If it is one stratum of several, all are collapsed; where there is no other,
the error is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .examples import ExampleScores
from .intervals import Part, average

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ExamplesError:
    """The part of a mean difference's error that comes from the choice of the examples.

    `whole` is the variance of the mean over examples; `shared` less what the rest contributes to it, since that is in
    the variance between seeds as well. With one seed they are the same.
    """

    whole: Part
    shared: Part


def examples_error(differences: Sequence[ExampleScores]) -> ExamplesError | None:
    """What the choice of the examples contributes, where each pair was scored on the same ones.

    `differences` are those of each pair of seeds: one matrix of S seeds x N examples, seed + example + rest. None where
    nothing measures it: all examples are of one cluster, or all of a class.
    """
    drawn = _drawn(differences)
    if drawn is None:
        return None
    parts = []
    rest = 0.0
    for weight, residuals_SC in drawn:
        seeds, count = residuals_SC.shape
        by_cluster_C = residuals_SC.mean(axis=0)
        parts.append(Part(weight**2 * float((by_cluster_C**2).sum()) / (count * (count - 1)), count - 1))
        if seeds > 1:
            variance = float(((residuals_SC - by_cluster_C) ** 2).sum()) / ((seeds - 1) * (count - 1))
            rest += weight**2 * variance / (seeds * count)
    # The weights are in the variances already: this is the sum, with its degrees of freedom.
    whole = average(parts, 1)
    return ExamplesError(whole, Part(max(0.0, whole.variance - rest), whole.df))


def _drawn(differences: Sequence[ExampleScores]) -> list[tuple[float, NDArray[np.floating]]] | None:
    """The weight of each stratum and its residuals (S, C) by cluster; strata of one cluster are one stratum."""
    import numpy as np

    first = differences[0]
    values_SN = np.stack([one.values for one in differences])
    strata = []
    for number, weight in enumerate(first.weights):
        here = first.strata == number
        clusters_N = None if first.clusters is None else first.clusters[here]
        mean_S = values_SN[:, here].mean(axis=1)
        strata.append((weight, mean_S, residuals(values_SN[:, here], clusters_N)))
    alone = [stratum for stratum in strata if stratum[2].shape[1] == 1]
    if not alone:
        return [(weight, residuals_SC) for weight, _, residuals_SC in strata]
    # Weights of another sum are those of the classes of an area, which are no sample of anything.
    if len(strata) == 1 or not math.isclose(math.fsum(first.weights), 1):
        return None
    together = strata
    others = []
    if len(alone) > 1:
        together = alone
        others = [(weight, residuals_SC) for weight, _, residuals_SC in strata if residuals_SC.shape[1] > 1]
    means_SL = np.stack([weight * mean_S for weight, mean_S, _ in together], axis=1)
    return [*others, (float(len(together)), residuals(means_SL, None))]


def residuals(values_SN: NDArray[np.floating], clusters_N: NDArray[np.integer] | None) -> NDArray[np.floating]:
    """How far (S, C) each of C clusters of the examples (S, N) lies from their mean, scaled for the jackknife.

    The sum of the squares over C (C - 1) is the variance of the mean: where all clusters are of one size, or every
    example is one (`None`), these are the differences of their means from it. A single cluster has a residual of 0.
    """
    import numpy as np

    centred_SN = values_SN - values_SN.mean(axis=1, keepdims=True)
    if clusters_N is None:
        return centred_SN
    _, numbers_N, sizes_C = np.unique(clusters_N, return_inverse=True, return_counts=True)
    count = len(sizes_C)
    if count == 1:
        return np.zeros((len(values_SN), 1))
    sums_SC = np.stack([np.bincount(numbers_N, centred_N, count) for centred_N in centred_SN])
    return sums_SC * (count - 1) / (len(numbers_N) - sizes_C)
