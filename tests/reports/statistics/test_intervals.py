"""Intervals and p-values against scipy and statsmodels, and the level that simulation gives them."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.weightstats import ttost_paired

from sparsebench.reports.statistics.intervals import SMALLEST_P, Part, average, equivalence_p, half_width, p_value

VARIANCES = st.floats(1e-6, 1e6)
PARTS = st.lists(st.builds(Part, VARIANCES, st.integers(1, 200) | st.just(math.inf)), min_size=1, max_size=3)


def test_one_part_is_students_t() -> None:
    values = [0.71, 0.74, 0.69, 0.73]
    part = Part(np.var(values, ddof=1) / 4, 3)
    low, high = scipy.stats.t.interval(0.95, 3, np.mean(values), scipy.stats.sem(values))
    assert half_width([part], 0.05) == pytest.approx((high - low) / 2)
    assert p_value(np.mean(values) - 0.7, [part]) == pytest.approx(scipy.stats.ttest_1samp(values, 0.7).pvalue)


def test_infinite_degrees_of_freedom_are_normal() -> None:
    assert half_width([Part(4.0, math.inf)], 0.05) == pytest.approx(2 * 1.959964, abs=1e-5)
    assert p_value(3.0, [Part(4.0, math.inf)]) == pytest.approx(2 * scipy.stats.norm.sf(1.5))


def test_several_parts_add_the_squares_of_their_half_widths() -> None:
    parts = [Part(2.0, 2), Part(3.0, 9)]
    assert half_width(parts, 0.1) == pytest.approx(math.hypot(*(half_width([part], 0.1) for part in parts)))


@given(st.floats(-50, 50), PARTS, st.floats(1e-4, 0.5))
def test_p_is_below_alpha_just_where_the_interval_excludes_zero(effect: float, parts: list, alpha: float) -> None:
    half = half_width(parts, alpha)
    if not math.isclose(abs(effect), half, rel_tol=1e-6):
        assert (p_value(effect, parts) < alpha) == (abs(effect) > half)


def test_without_variance() -> None:
    assert p_value(0.0, [Part(0.0, 3)]) == 1
    assert p_value(0.1, [Part(0.0, 3)]) == SMALLEST_P
    assert p_value(1e9, [Part(1.0, 50), Part(1.0, 60)]) == pytest.approx(SMALLEST_P)


def test_equivalence_is_that_of_statsmodels() -> None:
    generator = np.random.default_rng(0)
    for margin in (0.05, 0.5, 3.0):
        first, second = generator.normal(size=(2, 8))
        d = first - second
        expected, _, _ = ttost_paired(first, second, -margin, margin)
        assert equivalence_p(d.mean(), [Part(d.var(ddof=1) / 8, 7)], margin) == pytest.approx(expected)


def test_average_of_equal_parts_has_all_degrees_of_freedom_and_of_unequal_ones_those_of_the_noisiest() -> None:
    assert average([Part(1.0, 2)] * 4, 4) == Part(0.25, 8)
    assert average([Part(1.0, 2), Part(1e9, 2)], 2).df == pytest.approx(2)
    assert average([Part(1.0, math.inf)], 1) == Part(1.0, math.inf)
    assert average([Part(0.0, 2)], 1).variance == 0
    assert average([Part(1e308, 2)] * 4, 4).variance == math.inf


@pytest.mark.parametrize("spreads", [(1, 1), (1, 10), (1, 1, 1, 5), (1, 2, 4, 8)])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_average_over_tasks_keeps_its_level(spreads: tuple, seeds: int) -> None:
    """20,000 means of tasks whose seeds vary more or less; Satterthwaite's degrees of freedom give up to 6.3 %."""
    generator = np.random.default_rng(seeds)
    repeats = 20_000
    values = generator.normal(size=(repeats, len(spreads), seeds)) * np.array(spreads)[:, None]
    variance = values.var(axis=2, ddof=1) / seeds
    total = variance.sum(axis=1)
    df = (seeds - 1) / (variance / total[:, None]).max(axis=1)
    t = np.abs(values.mean(axis=2).sum(axis=1)) / np.sqrt(total)
    assert (2 * scipy.stats.t.sf(t, df) < 0.05).mean() < 0.057
    part = average([Part(v, seeds - 1) for v in variance[0]], len(spreads))
    assert (part.variance * len(spreads) ** 2, part.df) == (pytest.approx(total[0]), pytest.approx(df[0]))
