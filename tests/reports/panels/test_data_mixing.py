"""The panel of mixtures: numbers of all trainings, figures of the first, correlation, and what it does without some."""

import pytest

from sparsebench.reports.mixing.curves import CV2, OVERHEAD, Mixing, load_name, name_of
from sparsebench.reports.panels.data_mixing import (
    MAX_DRAWN,
    MAX_ROUNDS,
    PANEL,
    Line,
    Mixed,
    by_round,
    cv2_against_quality,
    overview,
)

from .pages import cells, page, section

ROUNDS = [(float(step), 0.5) for step in range(40)]
MIXED = Mixed(Mixing(weight={"a": ROUNDS}, load={"a": {0: ROUNDS, 1: ROUNDS}}), "", None)
LINE = Line(2, "row · t", "t", MIXED)


def curves(cv2=0.25, weight=0.75, link=""):
    found = {
        name_of("weight", "code"): [(0.0, 0.5), (2.0, weight)],
        name_of("weight", "law"): [(0.0, 0.5), (2.0, 1 - weight)],
        name_of("delta", "code"): [(2.0, 0.1), (4.0, 0.2)],
        CV2: [(2.0, 0.5), (4.0, cv2)],
        OVERHEAD: [(2.0, 0.02), (4.0, 0.0075)],
    }
    for expert in range(2):
        for name in ("code", "law"):
            found[load_name(expert, name)] = [(float(2 * step), 0.5) for step in range(1, 12)]
    return {link + name: points for name, points in found.items()}


def test_a_training_has_its_numbers_and_is_drawn_round_by_round(make, tmp_path):
    mixed = make.record("mixed", curves=curves(link="2. "))
    part = section("Data mixing", tmp_path, mixed)
    assert cells(part)[:4] == ["1  mixed · t", "code 75.0 %, law 25.0 %", "0.250", "0.75 %"]
    for what in ("weight by step", "distance or excess loss by step", "load of the last layer by step"):
        assert f'chart "1  mixed · t: {what}"' in part
    assert "held-out loss" not in part


def test_cv2_and_quality_are_correlated_over_the_rows_of_a_task(make, tmp_path):
    records = [make.record(f"row {n}", score=0.9 - 0.1 * n, curves=curves(cv2=0.1 * (n + 1))) for n in range(3)]
    part = section("Data mixing", tmp_path / "three", *records)
    assert "Correlation over 3" not in part and "correlation over 3 trainings: -1.000" in part
    assert "correlation" not in section("Data mixing", tmp_path / "two", *records[:2])
    same = [make.record(f"row {n}", curves=curves(cv2=0.5)) for n in range(3)]
    assert "the correlation is not defined" in section("Data mixing", tmp_path / "same", *same)


def test_without_loads_there_are_weights(make, tmp_path):
    weights = {name: points for name, points in curves().items() if "weight" in name}
    part = section("Data mixing", tmp_path, make.record("static", curves=weights))
    assert cells(part)[:4] == ["1  static · t", "code 75.0 %, law 25.0 %", "–", "–"]
    assert "load of the last layer" not in part


def test_the_amount_is_bounded_and_what_makes_no_sense_is_named(make, tmp_path):
    records = [make.record(f"row {n}", curves=curves()) for n in range(MAX_DRAWN + 2)]
    part = section("Data mixing", tmp_path / "many", *records)
    assert part.count('weight by step"') == MAX_DRAWN
    assert "2 more trainings are not drawn round by round." in part
    broken = make.record("broken", curves=curves() | {name_of("weight", "code"): [(0.0, 2.0), (2.0, 2.0)]})
    text = page(tmp_path / "broken", broken)
    assert "no fractions" in text and "<h3>Data mixing</h3>" not in text


def test_nothing_without_a_mixture(make, tmp_path):
    assert not PANEL.has_entry(make.record("dense", curves={"train loss": [(1.0, 1.0)]}))
    assert "Data mixing" not in page(tmp_path, make.record("dense"))


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
