"""Rounds that are drawn, and the correlation by hand."""

import pytest

from sparsebench.reports.figures.mixing_figures import MAX_ROUNDS, Line, Mixed, by_round, cv2_against_quality, overview
from sparsebench.reports.mixing.curves import Mixing

ROUNDS = [(float(step), 0.5) for step in range(40)]
MIXED = Mixed(Mixing(weight={"a": ROUNDS}, load={"a": {0: ROUNDS, 1: ROUNDS}}), "", None)
LINE = Line(2, "row · t", "t", MIXED)


@pytest.mark.parametrize(
    ("qualities", "said"),
    [((2, 4, 6), "+1.000"), ((1, 3, 2), "+0.500"), ((2, 2, 2), "the correlation is not defined")],
)
def test_correlation_by_hand(make, qualities, said) -> None:
    lines = []
    for number, quality in enumerate(qualities, start=1):
        mixing = Mixing(weight={"a": ROUNDS}, cv2=[(1.0, float(number))])
        lines.append(Line(number, "row", "t", Mixed(mixing, "score", make.metric(float(quality)))))
    (figure,) = cv2_against_quality(lines)
    assert said in figure.caption


def test_a_long_training_is_drawn_in_few_rounds_with_its_ends() -> None:
    weight, loads = by_round(LINE)
    assert weight.words is not None and weight.words.rows == (("a", "0.500", "0.500"),)
    steps = {value["down"] for value in loads.spec["data"]["values"]}
    assert len(steps) == MAX_ROUNDS and {0, 39} <= steps


def test_what_is_not_known_has_a_dash() -> None:
    words = overview([LINE]).words
    assert words is not None and words.rows == (("2  row · t", "a 50.0 %", "–", "–", "–"),)
