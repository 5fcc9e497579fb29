"""Holm's procedure, against its own definition by p-values."""

import numpy as np

from sparsebench.reports.statistics import holm


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
