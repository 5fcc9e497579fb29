"""Curves as an SVG file: all within it, the higher value above, names at the ends and apart."""

import re
import xml.etree.ElementTree

import pytest

from sparsebench.reports.figures.curve_plots import APART, HEIGHT, WIDTH, CurvePlot, draw_curves
from sparsebench.reports.figures.svg import THEMES

SVG = "{http://www.w3.org/2000/svg}"
CURVES = {
    "a <&>": [(10.0, 2.0), (1_000_000.0, 1.001)],
    "b": [(10.0, 1.5), (1_000_000.0, 1.0)],
    "c": [(10.0, 1.9), (500_000.0, 1.8)],
}


@pytest.mark.parametrize("theme", THEMES)
def test_curves_lie_within_and_names_do_not_overlap(theme: str) -> None:
    svg = draw_curves(CurvePlot("Task", "tokens", "score ↓", CURVES), THEMES[theme])
    root = xml.etree.ElementTree.fromstring(svg)
    texts = {one.text: (float(one.attrib["x"]), float(one.attrib["y"])) for one in root.iter(f"{SVG}text")}
    assert {"Task", "score ↓", "tokens", "500 k", "1.5", *CURVES} <= texts.keys()
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in texts.values())
    assert texts["b"][1] - texts["a <&>"][1] >= APART, "they end at nearly one value"
    lines = [line.attrib["points"].split() for line in root.iter(f"{SVG}polyline")]
    assert len(lines) == len(CURVES)
    for line in lines:
        places = [tuple(map(float, point.split(","))) for point in line]
        assert places[0][0] < places[1][0] and places[0][1] < places[1][1], "to the right, and down"
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    assert THEMES[theme].better in svg and not re.search(r"href|url\(|<script|<style", svg)
