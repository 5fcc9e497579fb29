"""The bound against all samples, one by one, and against the figures that were worked out beforehand."""

from itertools import combinations, product

import pytest

from sparsebench.reports.statistics.bounds import unequal_at_most, unequal_in_strata_at_most


def probability(population: int, drawn: int, bad: int, most: int) -> float:
    """Of finding `most` bad members or fewer (these are the first `bad` ones), over all samples."""
    samples = list(combinations(range(population), drawn))
    return sum(sum(member < bad for member in sample) <= most for sample in samples) / len(samples)


@pytest.mark.parametrize("population", [1, 5, 9])
def test_the_bound_is_the_largest_number_that_samples_would_hide(population: int) -> None:
    for drawn in range(population + 1):
        for unequal in range(drawn + 1):
            possible = range(unequal, population - (drawn - unequal) + 1)
            expected = max(bad for bad in possible if probability(population, drawn, bad, unequal) >= 0.05)
            assert unequal_at_most(population, drawn, unequal) == expected, (drawn, unequal)


def test_the_bound_over_several_populations_is_that_of_the_spread_that_hides_most() -> None:
    for strata in ([(6, 3), (4, 1)], [(5, 5), (4, 2)], [(4, 0), (5, 4)], [(5, 3), (5, 3), (3, 1)], [(3, 3)]):
        hidden = []
        for bads in product(*(range(population - drawn + 1) for population, drawn in strata)):
            chance = 1.0
            for (population, drawn), bad in zip(strata, bads, strict=True):
                chance *= probability(population, drawn, bad, 0)
            if chance >= 0.05:
                hidden.append(sum(bads))
        assert unequal_in_strata_at_most(strata) == max(hidden), strata


@pytest.mark.parametrize(
    ("population", "drawn", "per_cent"),
    [(161, 14, 18.0), (161, 29, 8.7), (161, 45, 5.0), (161, 59, 3.7), (161, 90, 1.9), (1841, 59, 4.8), (1841, 90, 3.2)],
)
def test_figures_worked_out_beforehand(population: int, drawn: int, per_cent: float) -> None:
    bound = unequal_at_most(population, drawn)
    assert 100 * bound / population == pytest.approx(per_cent, abs=0.5 if drawn == 14 else 0.051)
    assert unequal_in_strata_at_most([(population, drawn)]) == bound


def test_nothing_is_known_without_draws_and_all_is_when_all_were_drawn() -> None:
    assert (unequal_at_most(7, 0), unequal_at_most(7, 7), unequal_at_most(0, 0), unequal_in_strata_at_most([])) == (
        *(7, 0, 0),
        0,
    )
