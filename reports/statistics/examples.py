"""What each test example contributes to a score, so that two rows can be compared on the same examples.

A score is a sum over strata of weight x mean of the contributions. For a mean over examples (an accuracy) these are
the outcomes themselves; for a ratio of sums (bits per byte), a root mean square, a correlation and an area under the
ROC curve they are the influence of each example on the score, so that the variance of their mean is the score's to
first order (the delta method; for ROC-AUC DeLong, DeLong & Clarke-Pearson 1988). Strata: the domains of a mean over
domains, the two classes of an AUC. Other scores (FCD, macro F1) have no such form; they keep their standard error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOLERANCE = 1e-4
"""How far, relative to the score, what the examples give may be from it: they are kept as float32."""
CLUSTER = "cluster"
"""Column that says which document (or another whole) an example is a part of, by number or name, inside its stratum."""
PART = "part"
"""Column that says which part of the groups an example belongs to: "answer_loss outside" is a mean over one part."""
Columns = Mapping[str, Sequence[Any]]
RATIOS = {
    "bits_per_byte": ("bits", "bytes", "domain"),
    "kl_from_backbone": ("kl_nats", "compared_tokens", "domain"),
    "same_token": ("same_tokens", "compared_tokens", "domain"),
    "answer_loss": ("nats", "tokens", "group"),
}
"""Scores that are means over strata of ratios of sums: the columns above and below the line, that of the strata."""


@dataclass(frozen=True, eq=False)
class ExampleScores:
    """Contributions of N examples (N,), the number of each one's stratum, and the weight of each stratum.

    `same` (N,) or (N, T) is what two rows share if they were scored on the same examples: their targets, or sizes.
    `clusters` (N,) numbers what each example was cut from; None where every example stands for itself.
    """

    values: NDArray[np.floating]
    strata: NDArray[np.integer]
    weights: tuple[float, ...]
    same: NDArray[np.floating]
    clusters: NDArray[np.integer] | None = None

    def total(self) -> float:
        """The score that they give."""
        means = [self.values[self.strata == number].mean() for number in range(len(self.weights))]
        return float(math.fsum(weight * mean for weight, mean in zip(self.weights, means, strict=True)))


def example_scores(metric: str, value: float, columns: Columns) -> ExampleScores | None:
    """The contributions behind a score, from the outcomes that a record keeps.

    Args:
        metric: the name of the score.
        value: the score.
        columns: outcomes by example, by name.

    Returns:
        The contributions; None where the outcomes have another form, or do not give the score back.
    """
    found = contributions(metric, columns)
    if found is None or not abs(found.total() - value) <= TOLERANCE * max(1.0, abs(value)):
        return None
    return found


def contributions(metric: str, columns: Columns) -> ExampleScores | None:
    """The same, whatever the score is that the record names. None where the outcomes have another form."""
    import numpy as np

    name, _, part = metric.partition(" ")
    try:
        if name in RATIOS and part and metric not in columns and PART in columns:
            metric, columns = name, _only(columns, part)
        form = _form(metric, columns)
        if form is None:
            return None
        with np.errstate(all="ignore"):
            found = _clustered(form(columns), columns)
    except (ValueError, TypeError, IndexError):  # outcomes of a task of somebody else's, in a form of its own
        return None
    if found is None or not math.isfinite(found.total()):
        return None
    return found


def _clustered(found: ExampleScores | None, columns: Columns) -> ExampleScores | None:
    """With the cluster of each example, where the record keeps it: windows of one document are not independent."""
    import numpy as np

    kept = columns.get(CLUSTER)
    if found is None or kept is None or len(kept) != len(found.values):
        return found
    _, numbers_N = np.unique(np.asarray(kept, dtype=str), return_inverse=True)
    return replace(found, clusters=numbers_N)


def _form(metric: str, columns: Columns) -> Callable[[Columns], ExampleScores | None] | None:
    """How the examples make the score, by the metric and the names of what was kept."""
    names = columns.keys()
    if metric in names:
        return lambda columns: _mean(columns[metric])
    if metric == "accuracy" and "correct" in names:
        return lambda columns: _mean(columns["correct"])
    if metric in RATIOS and names >= set(RATIOS[metric][:2]):
        return lambda columns: _ratio(columns, *RATIOS[metric])
    if names >= {"prediction", "target"}:
        return {"rmse": _root_mean_square, "pearson": _correlation}.get(metric)
    if metric == "roc_auc" and names >= {"score", "target"}:
        return _area_under_curve
    return None


def _mean(outcomes: Sequence[Any]) -> ExampleScores:
    import numpy as np

    values_N = np.asarray(outcomes, dtype=float)
    if values_N.ndim != 1 or len(values_N) < 2:
        raise ValueError("not one number for each example")
    none = np.zeros(len(values_N))
    return ExampleScores(values_N, none.astype(int), (1.0,), none)


def _ratio(columns: Columns, above: str, below: str, strata: str) -> ExampleScores:
    """The mean over strata of a ratio of sums (bits / bytes over domains); without strata all examples are one."""
    import numpy as np

    above_N = np.asarray(columns[above], dtype=float)
    below_N = np.asarray(columns[below], dtype=float)
    names, strata_N = np.unique(np.asarray(columns.get(strata, ["all"] * len(above_N))), return_inverse=True)
    values_N = np.empty_like(above_N)
    for number in range(len(names)):
        here = strata_N == number
        ratio = above_N[here].sum() / below_N[here].sum()
        values_N[here] = ratio + (above_N[here] - ratio * below_N[here]) / below_N[here].mean()
    return ExampleScores(values_N, strata_N, (1 / len(names),) * len(names), below_N)


def _only(columns: Columns, part: str) -> Columns:
    """The examples of one part. Raises `ValueError` where there is none."""
    places = [place for place, name in enumerate(columns[PART]) if name == part]
    if not places:
        raise ValueError(f"no example of the part {part!r}")
    return {name: [values[place] for place in places] for name, values in columns.items()}


def _root_mean_square(columns: Columns) -> ExampleScores:
    """Over all known values of an example: the root of a ratio of sums, squares over how many values there are."""
    import numpy as np

    prediction_NT = _by_example(columns["prediction"])
    target_NT = _by_example(columns["target"])
    if len(target_NT) < 2 or prediction_NT.shape != target_NT.shape:
        raise ValueError("not the same outputs and targets for each example")
    known_NT = ~np.isnan(target_NT)
    if target_NT.shape[1] == 1 and not known_NT.all():
        raise ValueError("an example without a target")
    squares_N = np.where(known_NT, (prediction_NT - target_NT) ** 2, 0.0).sum(axis=1)
    counts_N = known_NT.sum(axis=1)
    mean = squares_N.sum() / counts_N.sum()
    rmse = math.sqrt(mean)
    values_N = rmse + (squares_N - mean * counts_N) / counts_N.mean() / (2 * rmse)
    # What nobody knows is the same in both rows, too; NaN would equal nothing.
    same_NT = np.where(known_NT, target_NT, np.inf)
    return ExampleScores(values_N, np.zeros(len(values_N), dtype=int), (1.0,), same_NT)


def _by_example(values: Sequence[Any]) -> NDArray[np.floating]:
    """Numbers (N, T), NaN for None, from one number or one list for each example."""
    import numpy as np

    found = np.asarray(values, dtype=float)
    return found.reshape(len(found), -1)


def _correlation(columns: Columns) -> ExampleScores:
    """Pearson's r; its influence function is x y - r (x² + y²) / 2 of standardised x and y (Devlin et al. 1975)."""
    import numpy as np

    prediction_N, target_N = _one_output(columns, "prediction")
    x_N = (prediction_N - prediction_N.mean()) / prediction_N.std()
    y_N = (target_N - target_N.mean()) / target_N.std()
    r = (x_N * y_N).mean()
    values_N = r + x_N * y_N - r * (x_N**2 + y_N**2) / 2
    return ExampleScores(values_N, np.zeros(len(values_N), dtype=int), (1.0,), target_N)


def _area_under_curve(columns: Columns) -> ExampleScores:
    """DeLong's placements: of a positive the fraction of negatives below it, of a negative that of positives above."""
    import numpy as np

    score_N, target_N = _one_output(columns, "score")
    positive_N = target_N == 1
    if min(positive_N.sum(), (~positive_N).sum()) < 2:
        raise ValueError("a class with fewer than two examples says nothing of its spread")
    values_N = np.empty(len(score_N))
    values_N[positive_N] = _fraction_below(score_N[positive_N], score_N[~positive_N])
    values_N[~positive_N] = 1 - _fraction_below(score_N[~positive_N], score_N[positive_N])
    # Each class alone gives the area, so one of them is centred: the weights are those of the variance, 1 and 1.
    values_N[~positive_N] -= values_N[~positive_N].mean()
    return ExampleScores(values_N, (~positive_N).astype(int), (1.0, 1.0), target_N)


def _fraction_below(scores_A: NDArray[np.floating], others_B: NDArray[np.floating]) -> NDArray[np.floating]:
    """The fraction of the other scores that are lower, for each score; equal ones count half."""
    import numpy as np

    sorted_B = np.sort(others_B)
    ends = np.searchsorted(sorted_B, scores_A, "left") + np.searchsorted(sorted_B, scores_A, "right")
    return ends / (2 * len(others_B))


def _one_output(columns: Columns, name: str) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Outputs and targets (N,) of a task with one output. Raises `ValueError` where a target is missing."""
    import numpy as np

    output_N = np.asarray(columns[name], dtype=float).squeeze()
    target_N = np.asarray(columns["target"], dtype=float).squeeze()
    if output_N.ndim != 1 or len(output_N) < 2 or output_N.shape != target_N.shape or np.isnan(target_N).any():
        raise ValueError("not one output and one target for each example")
    return output_N, target_N


def subtract(ours: ExampleScores | None, theirs: ExampleScores | None) -> ExampleScores | None:
    """Example by example; None unless both were scored on the same examples."""
    import numpy as np

    if ours is None or theirs is None or ours.weights != theirs.weights:
        return None
    alike = np.array_equal(ours.strata, theirs.strata) and np.array_equal(ours.same, theirs.same)
    if not alike:
        return None
    # A record of before has no clusters: the examples are the same, so those of the other one hold for both.
    clusters = ours.clusters
    if clusters is None:
        clusters = theirs.clusters
    return replace(ours, values=ours.values - theirs.values, clusters=clusters)
