"""Axes of the pictures: places and ticks."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsebench.reports.figures.svg import MAX_TICKS, axis

finite = st.floats(-1e6, 1e6, allow_nan=False)


def test_high_values_lie_at_the_end_of_a_rising_axis() -> None:
    up = axis(0.0, 1.0, 100, 50, rising=True)
    down = axis(0.0, 1.0, 100, 50, rising=False)
    assert up.place(0.2) < up.place(0.9)
    assert down.place(0.2) > down.place(0.9)
    assert up.place(0.5) == pytest.approx(125)


def test_what_is_outside_stands_at_the_edge() -> None:
    scale = axis(0.0, 1.0, 100, 50, rising=True)
    assert scale.place(-9) == 100
    assert scale.place(9) == 150


def test_ticks_are_round() -> None:
    assert axis(0.0, 1.0, 0, 1, True).ticks() == pytest.approx([0, 0.5, 1])
    assert axis(30.0, 62.0, 0, 1, True).ticks() == [30, 40, 50, 60]


@given(finite, finite, st.booleans())
def test_any_range_has_a_few_ticks_within(one: float, other: float, up: bool) -> None:
    low = min(one, other)
    high = max(one, other)
    scale = axis(low, high, 10, 80, up)
    ticks = scale.ticks()
    assert len(ticks) <= MAX_TICKS
    for value in (low, high, *ticks):
        assert 10 <= scale.place(value) <= 90
        assert math.isfinite(scale.place(value))
