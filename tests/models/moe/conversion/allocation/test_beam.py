"""The beam against all combinations, and its promise to be no worse than uniform."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsebench.models.moe.conversion.allocation.beam import beam_search

Score = Callable[[tuple[int, ...]], float]


def search(score: Score, layers: int, choices: range, width: int, uniform: int = 1) -> tuple:
    def extend(numbers: tuple[int, ...], layer: int, choice: int) -> tuple[tuple[int, ...], float]:
        assert len(numbers) == layer
        longer = (*numbers, choice)
        return longer, score(longer)

    best, even = beam_search(layers, choices, (), extend, width=width, uniform=uniform)
    assert best.numbers == best.state and even.numbers == (uniform,) * layers
    return best, even


@given(seed=st.integers(0, 10**6), width=st.integers(1, 5), layers=st.integers(1, 5))
def test_never_worse_than_uniform(seed: int, width: int, layers: int) -> None:
    """Scores of prefixes that say nothing of what comes later."""

    def score(numbers: tuple[int, ...]) -> float:
        return hash((seed, numbers)) % 1_000

    best, even = search(score, layers, range(3), width)
    assert best.score == score(best.numbers) <= even.score == score(even.numbers)


def test_a_wide_beam_finds_the_best_and_a_narrow_one_is_misled() -> None:
    def score(numbers: tuple[int, ...]) -> float:
        """The first number costs at once and pays at the end."""
        return numbers[0] - (10.0 if numbers == (2, 0, 2) else 0.0)

    everything = min(itertools.product(range(3), repeat=3), key=score)
    assert search(score, 3, range(3), 9)[0].numbers == everything == (2, 0, 2)
    assert search(score, 3, range(3), 1)[0].numbers != everything


def test_equal_scores_stay_uniform() -> None:
    best, _ = search(lambda numbers: 0.0, 4, range(4), 2, uniform=2)
    assert best.numbers == (2, 2, 2, 2)


@pytest.mark.parametrize("fields", [{"width": 0}, {"uniform": 5}])
def test_what_cannot_be(fields: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        search(lambda numbers: 0.0, 2, range(3), **({"width": 1} | fields))
