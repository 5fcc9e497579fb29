"""Charts of tracks as specifications."""

import json

from sparsebench.reports.page import charts

ROWS = [
    {"name": "a", "role": "method", "kind": "better", "effect": 1.0, "low": 0.5, "high": 1.5, "text": "+1"},
    {"name": "b", "role": "control", "kind": "control", "effect": 2.0, "low": 1.0, "high": 3.0, "text": "+2"},
]


def test_the_baseline_is_a_line_and_controls_are_lines_of_their_own():
    spec = charts.forest(ROWS, "difference", margin=0.2)
    assert json.loads(json.dumps(spec)) == spec
    band, zero, lines, intervals, points = spec["layer"]
    assert band["data"]["values"] == [{"from": -0.2, "to": 0.2}]
    assert zero["data"]["values"] == [{"at": 0}]
    assert lines["mark"]["type"] == "rule" and "control" in lines["transform"][0]["filter"]
    assert "control" not in intervals["transform"][0]["filter"] and points["mark"]["type"] == "point"
    assert points["encoding"]["shape"]["legend"]["values"] == ["better", "control"]
    assert spec["data"] == {"name": "rows", "values": []}


def test_a_small_one_has_no_names_and_no_legend():
    spec = charts.forest(ROWS, "difference", small=True)
    point = spec["layer"][-1]["encoding"]
    assert point["y"]["axis"] is None and point["color"]["legend"] is None
    assert spec["height"] == charts.SMALL_HEIGHT and spec["data"]["values"] == ROWS


def test_the_front_is_made_of_rivals_from_the_cheapest_on():
    spec = charts.scatter(higher_is_better=False)
    rivals, window, keep = spec["layer"][0]["transform"]
    assert rivals == charts.RIVALS
    assert window["window"] == [{"op": "min", "field": "y", "as": "front"}]
    assert [one["field"] for one in window["sort"]] == ["x", "y"]
    assert keep["filter"] == "datum['y'] == datum.front"
    assert spec["layer"][1]["encoding"]["x"]["scale"]["type"] == "linear", "the page makes it a logarithm"


def test_every_kind_has_a_colour_and_a_form():
    assert len({form for _, form in charts.KINDS.values()}) >= 6
    for spec in (charts.seeds(), charts.curve()):
        assert spec["data"] == {"name": "rows", "values": []}
