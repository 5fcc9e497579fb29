"""Looks at data that grow: what each may spend, and what a study of twenty rows then does, simulated.

And Holm's procedure, against its own definition by p-values.

Rows are drawn, not run: the seeds of each are normal, and all rows are compared with one baseline, as in studies.
"""

import numpy as np
import pytest

from sparsebench.reports.statistics import ALPHA, holm, level_at, seeds_to_settle
from sparsebench.reports.statistics.intervals import Part
from sparsebench.reports.statistics.levels import spent
from sparsebench.reports.tables.claims.judging import HOPELESS

from .sequential import AHEAD, BEHIND, GIVEN_UP, NEGLIGIBLE, verdicts

ROWS = 20
REPEATS = 3000
MOST = 0.05 + 2 * (0.05 * 0.95 / REPEATS) ** 0.5
"""What a rate of 5 % looks like in so many draws, two standard deviations up."""
SPREAD = 0.5
"""Of the seeds of one row, in smallest effects: that of a difference is 0.71."""


def budget_of(quarters: tuple[int, ...] = (1, 2, 3, 4)) -> int:
    """The budget that is stated before: what settles one of twenty claims at the last look, from a pilot's spread."""
    pilot = [Part(2 * SPREAD**2 / 3, 2)]
    return int(seeds_to_settle(pilot, 3, smallest=1.0, alpha=level_at(quarters, 3, ALPHA / ROWS)))


def looks() -> tuple[int, ...]:
    budget = budget_of()
    return tuple(sorted({max(3, budget * part // 4) for part in (1, 2, 3)} | {budget}))


def study(effects: np.ndarray, seed: int, spread: float = SPREAD) -> np.ndarray:
    rows_RSN = spread * np.random.default_rng(seed).normal(size=(REPEATS, looks()[-1], ROWS + 1))
    return verdicts(rows_RSN[..., 1:] - rows_RSN[..., :1] + effects, looks(), smallest=1.0, hopeless=HOPELESS)


def test_the_levels_of_the_looks_are_those_of_lan_and_demets() -> None:
    """Lan & DeMets 1983, table of alpha_1* at 5 %: 0.0001, 0.0056, 0.0236, 0.0500 at each quarter."""
    assert [round(spent(part / 4, 0.05), 4) for part in (1, 2, 3, 4)] == [0.0001, 0.0056, 0.0236, 0.05]
    for alpha in (0.05, 0.0025):
        assert sum(level_at((3, 5, 12), look, alpha) for look in range(3)) == pytest.approx(alpha)
    assert level_at((), 0, 0.05) == 0.05


def test_twenty_equal_rows_keep_five_per_cent() -> None:
    """A study holds a false "holds" or "fails" in at most 5 % of the draws; and it says what is so."""
    found_RK = study(np.zeros(ROWS), seed=0)
    wrong_R = np.isin(found_RK, (AHEAD, BEHIND)).any(axis=1)
    assert wrong_R.mean() <= MOST
    assert (found_RK == NEGLIGIBLE).mean() >= 0.8


def test_twenty_rows_at_the_smallest_effect_keep_five_per_cent() -> None:
    """The same for equivalence: an effect just as large as the smallest is "negligible" somewhere in at most 5 %
    (2.5 by the two one-sided tests, each at half the level)."""
    found_RK = study(np.ones(ROWS), seed=1)
    assert (found_RK == NEGLIGIBLE).any(axis=1).mean() <= MOST


def test_a_true_effect_is_found_within_the_budget_that_was_stated() -> None:
    """One row of twenty by 1.5 smallest effects: found in at least 80 %, and the nineteen that are equal, too."""
    effects = np.zeros(ROWS)
    effects[0] = 1.5
    found_RK = study(effects, seed=2)
    assert (found_RK[:, 0] == AHEAD).mean() >= 0.8
    assert (found_RK[:, 1:] == NEGLIGIBLE).mean() >= 0.8


def test_rows_that_spread_too_far_are_given_up() -> None:
    """Four times the spread that the budget was stated for: most claims get no more seeds, and few are decided."""
    found_RK = study(np.zeros(ROWS), seed=4, spread=4 * SPREAD)
    assert (found_RK == GIVEN_UP).mean() >= 0.5
    assert np.isin(found_RK, (AHEAD, BEHIND)).any(axis=1).mean() <= MOST


def test_what_is_negligible_raises_no_level_at_which_others_differ() -> None:
    """In one family, equal rows whose smallest effect is 4.5 standard errors differed in 30 % of the draws."""
    drawn_RSK = np.random.default_rng(3).normal(size=(REPEATS, 30, ROWS))
    found_RK = verdicts(drawn_RSK, (30,), smallest=4.5 / 30**0.5)
    assert 0.5 <= (found_RK == NEGLIGIBLE).mean() <= 0.99
    assert np.isin(found_RK, (AHEAD, BEHIND)).any(axis=1).mean() <= MOST


def by_p_values(ps: list[float], alpha: float) -> set[int]:
    """The step-down procedure as Holm (1979) writes it."""
    fallen: set[int] = set()
    for rank, number in enumerate(np.argsort(ps)):
        if ps[number] > alpha / (len(ps) - rank):
            break
        fallen.add(int(number))
    return fallen


def test_the_levels_give_what_the_p_values_give() -> None:
    generator = np.random.default_rng(0)
    sizes = set()
    for _ in range(200):
        ps = list(generator.uniform(0, 1, 7) ** 4)
        found = holm([lambda level, p=p: p <= level for p in ps], 0.05)
        assert set(found) == by_p_values(ps, 0.05)
        assert all(ps[number] <= level for number, level in found.items())
        sizes.add(len(found))
    assert {0, 1, 3} <= sizes, "draws of which none, one and several fall"


def test_the_level_is_that_at_which_each_fell() -> None:
    found = holm([lambda level, p=p: p <= level for p in (0.04, 0.001, 0.02)], 0.05)
    assert found == {1: 0.05 / 3, 2: 0.05 / 2, 0: 0.05}
    assert holm([], 0.05) == {}
