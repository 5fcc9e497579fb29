"""Fractions: value, binomial standard error, and the fraction of nothing."""

import pytest

from sparsebench.suites.molecules.metrics.fraction import fraction


def test_standard_error_is_that_of_the_mean_of_zeros_and_ones() -> None:
    hits = [1, 1, 1, 0]
    mean = sum(hits) / 4
    variance = sum((hit - mean) ** 2 for hit in hits) / 3
    metric = fraction(3, 4)
    assert (metric.value, metric.n, metric.higher_is_better) == (0.75, 4, True)
    assert metric.stderr == pytest.approx((variance / 4) ** 0.5)


@pytest.mark.parametrize(("hits", "n"), [(0, 5), (5, 5), (1, 1)])
def test_all_or_none_have_no_error(hits: int, n: int) -> None:
    assert fraction(hits, n).stderr == 0


def test_of_nothing() -> None:
    with pytest.raises(ValueError, match="fraction of no molecules is not defined"):
        fraction(0, 0)
