"""The part of the error that comes from the choice of examples, which may be windows of the same documents."""

from dataclasses import replace

import numpy as np
import pytest

from sparsebench.reports.statistics import ExampleScores, Pairing, Score, difference
from sparsebench.reports.statistics.sampling import examples_error


def examples(values: list[float], clusters: list[int] | None = None, strata: list[int] | None = None) -> ExampleScores:
    values_N = np.array(values)
    strata_N = np.zeros(len(values), dtype=int) if strata is None else np.array(strata)
    count = int(strata_N.max()) + 1
    numbers_N = None if clusters is None else np.array(clusters)
    return ExampleScores(values_N, strata_N, (1 / count,) * count, np.zeros(len(values)), numbers_N)


def test_the_variance_is_the_jackknifes_over_clusters() -> None:
    """(C - 1) / C times the sum of the squared changes of the mean as each cluster is left out."""
    values, clusters = [1.0, 2.0, 6.0, 3.0, 8.0], [0, 0, 1, 2, 2]
    without = [[6.0, 3.0, 8.0], [1.0, 2.0, 3.0, 8.0], [1.0, 2.0, 6.0]]
    squares = sum((np.mean(left) - 4) ** 2 for left in without)
    part = examples_error([examples(values, clusters)]).whole
    assert (part.variance, part.df) == (pytest.approx(2 / 3 * squares), pytest.approx(2))


def test_every_example_its_own_cluster_is_what_no_clusters_are() -> None:
    rows = [list(row) for row in np.random.default_rng(0).normal(size=(3, 8))]
    alone = examples_error([examples(row, list(range(8))) for row in rows]).shared
    usual = examples_error([examples(row) for row in rows]).shared
    assert (alone.variance, alone.df) == (pytest.approx(usual.variance), pytest.approx(usual.df))


def test_strata_of_one_document_are_collapsed_and_one_document_in_all_leaves_the_error_unknown() -> None:
    """R18: seven domains with a window each."""
    part = examples_error([examples([1.0, 2.0, 6.0], strata=[0, 1, 2])]).whole
    assert part.variance == pytest.approx(np.var([1, 2, 6], ddof=1) / 3)
    assert part.df == pytest.approx(2)
    some = examples_error([examples([1.0, 2.0, 5.0, 7.0], strata=[0, 1, 2, 2])]).whole
    assert some.variance == pytest.approx(np.var([1, 2], ddof=1) / 2 * (2 / 3) ** 2 + np.var([5, 7], ddof=1) / 2 / 3**2)
    one = examples_error([examples([1.0, 3.0, 6.0], strata=[0, 0, 1])]).whole
    assert (one.variance, one.df) == (pytest.approx(np.var([2, 6], ddof=1) / 2), pytest.approx(1))
    classes = replace(examples([1.0, 3.0, 6.0], strata=[0, 0, 1]), weights=(1.0, 1.0))
    assert examples_error([classes]) is None, "the classes of an area are no sample of anything"
    assert examples_error([examples([1.0, 2.0, 3.0], [5, 5, 5])]) is None


def test_windows_of_one_document_say_that_they_are_and_give_no_interval_over_seeds() -> None:
    """R18: three seeds on one window were "an interval over seeds"."""
    found = [examples([value, value + 1], [4, 4]) for value in (1.0, 1.1, 1.2)]
    zero = examples([0.0, 0.0], [4, 4])
    pairs = tuple((Score(one.total(), read=lambda one=one: one), Score(0.0, read=lambda: zero)) for one in found)
    result = difference([Pairing(pairs, 3, stochastic=True)])
    assert (result.outcome, result.estimate.covers, result.p) == ("not comparable", "none", None)
    assert "one document" in result.reason
