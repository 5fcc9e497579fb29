"""The picture of all suites: an SVG file that stands alone, in two themes and two shapes, without overlaps."""

import re
import xml.etree.ElementTree

import pytest

from sparsebench.reports.figures.dot_plots import (
    COLUMN,
    LEGEND,
    NAME,
    NAME_LENGTH,
    Dot,
    DotPlot,
    draw_overview,
)
from sparsebench.reports.figures.svg import THEMES
from sparsebench.reports.statistics import Estimate

KINDS = [kind for kind, _ in LEGEND]
DOTS = tuple(
    Dot(f"row {kind} <&>", kind, Estimate(10.0 + 3 * number, 1.0, 3, "seeds"), 1e6 * number)
    for number, kind in enumerate(KINDS)
)
PLOT = DotPlot("a beats b", "task, %", True, DOTS)
SVG = "{http://www.w3.org/2000/svg}"


def parse(svg: str) -> xml.etree.ElementTree.Element:
    return xml.etree.ElementTree.fromstring(svg)


def texts(svg: str) -> dict[str, tuple[float, float]]:
    return {e.text or "": (float(e.attrib["x"]), float(e.attrib["y"])) for e in parse(svg).iter(f"{SVG}text")}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("columns", [1, 2])
def test_it_is_a_file_of_its_own(theme, columns):
    svg = draw_overview([("One", [PLOT]), ("Two", [PLOT])], THEMES[theme], columns)
    root = parse(svg)
    assert root.tag == f"{SVG}svg"
    assert "currentColor" not in svg, "an image has no page around it"
    assert not re.search(r"href|url\(|<script|<style", svg)
    assert THEMES[theme].ink in svg
    assert svg == draw_overview([("One", [PLOT]), ("Two", [PLOT])], THEMES[theme], columns)
    width = float(root.attrib["width"])
    assert root.attrib["viewBox"] == f"0 0 {width:g} {float(root.attrib['height']):g}"
    for element in root.iter(f"{SVG}text"):
        assert 0 <= float(element.attrib["x"]) <= width
        assert 0 <= float(element.attrib["y"]) <= float(root.attrib["height"])


def test_suites_fill_the_shorter_column():
    small = DotPlot("f", "t", True, DOTS[:2])
    found = texts(draw_overview([("Long", [PLOT, PLOT]), ("Short", [small]), ("Next", [small])], THEMES["light"], 2))
    assert found["Long"][0] == 0
    assert found["Short"][0] == found["Next"][0] > COLUMN
    assert found["Next"][1] > found["Short"][1]


def test_every_kind_has_a_mark_of_its_own_form():
    svg = draw_overview([("One", [PLOT])], THEMES["light"], 1)
    for kind, words in LEGEND:
        assert words in texts(svg)
        assert f"row {kind} <&>" in texts(svg)
    marks = re.findall(r'<(?:circle|path)[^>]*(?:r="[\d.]+"|d="[^"]*")', svg)
    forms = {re.sub(r'(cx|cy)="[\d.]+"|M[\d. ]+', "", mark) for mark in marks}
    assert len(forms) == len(KINDS) - 1, "the baseline is a rectangle, as are the bars"


def test_rows_and_columns_do_not_overlap():
    long = "a name that is much longer than the column of names is wide"
    first = Dot(long, "better", Estimate(1.0, 0.1, 3, "seeds"), 5.0)
    dots = (first, Dot("b", "same", Estimate(2.0, None, 1, "none"), None))
    svg = draw_overview([("One", [DotPlot("f", "t", False, dots)])], THEMES["light"], 1)
    found = texts(svg)
    assert found["b"][1] - found[f"{long[: NAME_LENGTH - 1]}…"][1] > 12
    ends = [float(x) for x in re.findall(r'<(?:circle)[^>]*cx="([\d.]+)"', svg)]
    assert all(x >= NAME for x in ends[:2])


def test_better_is_always_to_the_right():
    for up in (True, False):
        svg = draw_overview([("One", [DotPlot("f", "t", up, DOTS)])], THEMES["light"], 1)
        ticks = {text: x for text, (x, _) in texts(svg).items() if text.isdigit()}
        assert (ticks["20"] < ticks["30"]) == up


def test_one_baseline_is_a_line_through_the_plot_and_several_are_not():
    assert "stroke-dasharray" in draw_overview([("One", [PLOT])], THEMES["light"], 1)
    two = DotPlot("f", "t", True, (*DOTS, Dot("other", "baseline", Estimate(3.0, None, 1, "none"), None)))
    assert "stroke-dasharray" not in draw_overview([("One", [two])], THEMES["light"], 1)


def test_a_wide_interval_is_cut_and_does_not_squeeze_the_others():
    dots = (*DOTS, Dot("wild", "same", Estimate(12.0, 1e6, 3, "seeds"), None))
    svg = draw_overview([("One", [DotPlot("f", "t", True, dots)])], THEMES["light"], 1)
    assert all(0 <= float(x) <= COLUMN for x in re.findall(r'x[12]?="([\d.]+)"', svg))
    places = sorted(float(x) for x in re.findall(r'<circle cx="([\d.]+)"', svg)[:3])
    assert places[-1] - places[0] > 2


def test_equal_scores_have_a_plot():
    dots = tuple(Dot(name, "same", Estimate(0.0, None, 1, "none"), 0.0) for name in "ab")
    parse(draw_overview([("One", [DotPlot("f", "t", True, dots)])], THEMES["light"], 1))


def test_no_suites_are_an_empty_picture():
    parse(draw_overview([], THEMES["light"], 2))
