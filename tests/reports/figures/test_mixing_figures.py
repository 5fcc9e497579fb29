"""Rounds that are drawn, and the correlation by hand."""

import pytest

from sparsebench.reports.figures.mixing_figures import MAX_ROUNDS, Line, Mixed, by_round, overview, pearson
from sparsebench.reports.mixing.curves import Mixing

ROUNDS = [(float(step), 0.5) for step in range(40)]
MIXED = Mixed(Mixing(weight={"a": ROUNDS}, load={"a": {0: ROUNDS, 1: ROUNDS}}), "", None)
LINE = Line(2, "row · t", "t", MIXED)


def test_correlation_by_hand() -> None:
    assert pearson([1.0, 2.0, 3.0], [2.0, 4.0, 6.0]) == pytest.approx(1)
    assert pearson([1.0, 2.0, 3.0], [1.0, 3.0, 2.0]) == pytest.approx(0.5)
    assert pearson([1.0, 1.0], [1.0, 2.0]) is None


def test_a_long_training_is_drawn_in_few_rounds_with_its_ends() -> None:
    weight, loads = by_round(LINE)
    assert weight.words is not None and weight.words.rows == (("a", "0.500", "0.500"),)
    steps = {value["down"] for value in loads.spec["data"]["values"]}
    assert len(steps) == MAX_ROUNDS and {0, 39} <= steps


def test_what_is_not_known_has_a_dash() -> None:
    words = overview([LINE]).words
    assert words is not None and words.rows == (("2  row · t", "a 50.0 %", "–", "–", "–"),)
