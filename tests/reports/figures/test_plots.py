"""Figures: well-formed, deterministic, in the page's own colour."""

import xml.etree.ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsebench.reports.figures import plots
from sparsebench.reports.figures.plots import Aim, Mark

MARKS = [Mark(i, f"method {i} <&>", 50.0 + i, (2.0, 1.5) if i % 2 else None, 1e6 * i) for i in range(1, 12)]
AIMS = [Aim(1.0, 1.5, 1.2, 1.4), Aim(2.0, 1.9, 1.5, 2.5)]
FIGURES = {
    "tradeoff": lambda: plots.tradeoff(MARKS, "acc & cost", "params (M)", "acc", True),
    "bars": lambda: plots.bars(MARKS, "task", "acc", 40.0),
    "curves": lambda: plots.curves([(MARKS[0], [(0.0, 1.0), (1.0, 0.5)])], "loss", "loss"),
    "speed": lambda: plots.speed_ratios([("ours <x>", 2.5), ("slow", 0.8)], "speed"),
    "one mark": lambda: plots.tradeoff(MARKS[:1], "t", "c", "v", False),
    "targets": lambda: plots.targets([(1, AIMS), (2, AIMS[:1])], "logP \\1 <&>", "kcal/mol"),
    "no target": lambda: plots.targets([], "t", ""),
    "no mark": lambda: plots.bars([], "t", "v"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figures(name):
    svg = FIGURES[name]()
    assert svg == FIGURES[name](), "the same data give the same bytes"
    xml.etree.ElementTree.fromstring(svg.replace("xlink:href", "href"))
    assert svg.startswith('<svg viewBox="0 0 ')
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert "http" not in svg
    assert "fill: #ffffff" not in svg.partition("</g>")[0], "no background"


def test_every_row_number_is_drawn():
    svg = FIGURES["tradeoff"]()
    assert all(f">{mark.number}</text>" in svg for mark in MARKS)


def test_a_title_stands_as_it_is():
    assert 'aria-label="logP \\1 &lt;&amp;&gt;"' in FIGURES["targets"]()


def test_targets_have_their_unit_and_row_numbers():
    svg = FIGURES["targets"]()
    assert all(f">{text}</text>" in svg for text in ("target (kcal/mol)", "achieved (kcal/mol)", "1", "2"))
    assert plots.colour(1).lower() in svg
    assert plots.colour(2).lower() in svg


def test_long_lists_are_cut():
    many = [Mark(i, f"m{i}", 1.0) for i in range(1, 100)]
    assert plots.bars(many, "t", "v").count("  m") == plots.MAX_MARKS


def test_pareto_by_hand():
    marks = [Mark(1, "", 0.5, cost=1), Mark(2, "", 0.4, cost=2), Mark(3, "", 0.6, cost=3), Mark(4, "", 0.6, cost=4)]
    assert [mark.number for mark in plots.pareto(marks)] == [1, 3]
    assert [mark.number for mark in plots.pareto(marks, higher_is_better=False)] == [1, 2]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=12), st.booleans())
def test_the_pareto_front_is_what_nothing_beats(points, up):
    marks = [Mark(i, "", float(value), cost=float(cost)) for i, (value, cost) in enumerate(points)]
    front = plots.pareto(marks, up)
    sign = 1 if up else -1

    def beats(a, b):
        at_least = sign * a.value >= sign * b.value and a.cost <= b.cost
        return at_least and (a.value != b.value or a.cost != b.cost)

    kept = {(mark.value, mark.cost) for mark in front}
    expected = {(m.value, m.cost) for m in marks if not any(beats(other, m) for other in marks)}
    assert kept == expected


def test_numbers_are_legible_on_their_colour():
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for number in range(1, len(plots.PALETTE) + 1):
        light, dark = sorted((luminance(plots.colour(number)), luminance(plots.ink_on(number))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, plots.colour(number)
