"""How much of a score's error comes from the choice of its examples, which may come in clusters.

Windows that were cut from one document are more alike than windows of different ones, so that the document is what was
drawn, and not the window. The variance of a mean m of N examples in C clusters is then (Cochran 1977, Sampling
Techniques, section 9A.2; for evaluations of language models Miller 2024, arXiv:2411.00640)

    C / (C - 1) * sum over clusters of (sum over their examples of (x - m))² / N²

with C - 1 degrees of freedom, which is the usual one where every example is a cluster. A stratum of one cluster has no
spread of its own. In a mean over strata (domains, with one document of each) such are collapsed: the spread between
them stands in for that inside them, which counts their differences as noise and errs on the safe side (Wolter 2007,
Introduction to Variance Estimation, section 2.5). If it is one stratum of several, all are collapsed; where there is
no other, the error is unknown.
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
    for weight, values_SC in drawn:
        seeds, count = values_SC.shape
        by_cluster_C = values_SC.mean(axis=0)
        parts.append(Part(weight**2 * float(by_cluster_C.var(ddof=1)) / count, count - 1))
        if seeds > 1:
            rest_SC = values_SC - values_SC.mean(axis=1, keepdims=True) - by_cluster_C + by_cluster_C.mean()
            variance = float((rest_SC**2).sum()) / ((seeds - 1) * (count - 1))
            rest += weight**2 * variance / (seeds * count)
    # The weights are in the variances already: this is the sum, with its degrees of freedom.
    whole = average(parts, 1)
    return ExamplesError(whole, Part(max(0.0, whole.variance - rest), whole.df))


def _drawn(differences: Sequence[ExampleScores]) -> list[tuple[float, NDArray[np.floating]]] | None:
    """The weight of each stratum and its contributions (S, C) by cluster; strata of one cluster are one stratum."""
    import numpy as np

    first = differences[0]
    values_SN = np.stack([one.values for one in differences])
    found = []
    for number, weight in enumerate(first.weights):
        here = first.strata == number
        values_SC = values_SN[:, here]
        if first.clusters is not None:
            values_SC = by_cluster(values_SC, first.clusters[here])
        found.append((weight, values_SC))
    alone = [stratum for stratum in found if stratum[1].shape[1] == 1]
    if not alone:
        return found
    # Weights of another sum are those of the classes of an area, which are no sample of anything.
    if len(found) == 1 or not math.isclose(math.fsum(first.weights), 1):
        return None
    together = found
    others = []
    if len(alone) > 1:
        together = alone
        others = [stratum for stratum in found if stratum[1].shape[1] > 1]
    means_SL = np.stack([weight * values_SC.mean(axis=1) for weight, values_SC in together], axis=1)
    return [*others, (float(len(together)), means_SL)]


def by_cluster(values_SN: NDArray[np.floating], clusters_N: NDArray[np.integer]) -> NDArray[np.floating]:
    """Contributions (S, C) of the clusters, scaled so that their mean is that of the examples (S, N).

    The variance of their mean by the usual formula is then the one of the clusters.
    """
    import numpy as np

    _, numbers_N = np.unique(clusters_N, return_inverse=True)
    count = int(numbers_N.max()) + 1
    mean_S1 = values_SN.mean(axis=1, keepdims=True)
    sums_SC = np.stack([np.bincount(numbers_N, values_N, count) for values_N in values_SN - mean_S1])
    return mean_S1 + sums_SC * (count / len(numbers_N))
