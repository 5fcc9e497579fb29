"""Batches made ahead of their use: the same ones, in the same order."""

import threading

import pytest

from sparsebench.suites.prediction.look_ahead import look_ahead


@pytest.mark.parametrize("ahead", [0, 1, 3, 20])
def test_results_come_in_order(ahead: int):
    assert list(look_ahead(range(9), lambda number: number * number, ahead)) == [number**2 for number in range(9)]


def test_the_next_ones_are_made_while_one_is_used():
    made = [threading.Event() for _ in range(5)]
    results = look_ahead(range(5), lambda number: made[number].set(), 2)
    next(results)
    assert made[2].wait(60) and not made[4].is_set()
    results.close()  # type: ignore[attr-defined]
    assert not made[4].is_set()


@pytest.mark.parametrize("ahead", [0, 2])
def test_an_error_comes_where_its_result_would(ahead: int):
    found = []
    with pytest.raises(ZeroDivisionError):
        for result in look_ahead([1, 2, 0, 4], lambda number: 4 // number, ahead):
            found.append(result)
    assert found == [4, 2]
