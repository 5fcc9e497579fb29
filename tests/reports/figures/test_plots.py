"""Charts: specifications that JSON can say, with all that was given to them."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsebench.reports.figures import MIME_TYPE, Figure, plots
from sparsebench.reports.figures.plots import Aim, Entry


def mark(number, name, *stands):
    return Entry(number, name, "task", None).mark(*stands)


MARKS = [mark(i, f"method {i} <&>", 50.0 + i, (2.0, 1.5) if i % 2 else None, 1e6 * i) for i in range(1, 12)]
AIMS = [Aim(1.0, 1.5, 1.2, 1.4), Aim(2.0, 1.9, 1.5, 2.5)]
CHARTS = {
    "tradeoff": plots.tradeoff(MARKS, "acc & cost", "params (M)", "acc", True),
    "bars": plots.bars(MARKS, "task", "acc", 40.0),
    "curves": plots.curves([("method 1 <&>", [(0.0, 1.0), (1.0, 0.5)])], "loss", "loss by tokens"),
    "speed": plots.speed_ratios([("ours <x>", 2.5), ("slow", 0.8)], "speed"),
    "targets": plots.targets([("1  a", AIMS), ("2  b", AIMS[:1])], "logP", "kcal/mol"),
    "no target": plots.targets([], "t", ""),
    "no mark": plots.bars([], "t", "v"),
    "loads": plots.heat_maps({"code": [[0.25, 0.75]], "law": [[0.5, 0.5]]}, [3], "load"),
}


def test_a_long_name_of_a_speed_run_is_wrapped_and_nothing_of_it_is_lost():
    name = "MoE forward and backward, 1024/352/8/2, 2048 tokens: transformers"
    spec = plots.speed_ratios([(name, 2.0), ("short", 1.0)], "speed")
    lines = spec["data"]["values"][0]["name"].split("\n")
    assert " ".join(lines) == name and max(map(len, lines)) <= plots.LABEL
    assert spec["height"]["step"] == plots.LINE_HEIGHT + 12 * (len(lines) - 1)
    assert spec["layer"][0]["encoding"]["y"]["axis"]["labelExpr"] == r"split(datum.label, '\n')"


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_json_with_its_title(name):
    spec = CHARTS[name]
    assert json.loads(json.dumps(spec, allow_nan=False)) == spec
    assert spec["$schema"] == plots.SCHEMA and spec["description"]
    figure = Figure("a title", spec)
    assert figure._repr_mimebundle_() == {MIME_TYPE: spec, "text/plain": "a title"}, "a notebook shows the same"


def test_marks_have_their_numbers_intervals_and_costs():
    first = CHARTS["bars"]["data"]["values"][0]
    assert first == {"name": "1  method 1 <&>", "value": 51.0, "low": 49.0, "high": 52.5, "cost": 1e6}
    assert CHARTS["bars"]["layer"][-1]["data"]["values"] == [{"at": 40.0}], "chance"
    many = [mark(i, f"m{i}", 1.0) for i in range(1, 100)]
    assert len(plots.bars(many, "t", "v")["data"]["values"]) == plots.MAX_MARKS


def test_what_is_thinned_keeps_its_ends_and_is_even():
    assert plots.thinned(range(5), 8) == [0, 1, 2, 3, 4] and plots.thinned("", 8) == []
    assert plots.thinned(range(15), 8) == [0, 2, 4, 6, 8, 10, 12, 14]
    for count in range(41, 400):
        found = plots.thinned(range(count), 40)
        assert (len(found), found[0], found[-1]) == (40, 0, count - 1)
        assert len({after - before for before, after in pairwise(found)}) <= 2


def test_axes_say_what_they_are():
    assert CHARTS["curves"]["encoding"]["x"]["title"] == "tokens"
    assert CHARTS["curves"]["encoding"]["y"]["title"] == "loss"
    assert CHARTS["targets"]["layer"][2]["encoding"]["x"]["title"] == "target (kcal/mol)"
    assert CHARTS["tradeoff"]["layer"][0]["encoding"]["x"]["scale"]["type"] == "log", "costs differ by a factor of 11"


def test_a_load_is_counted_against_an_even_one():
    values = CHARTS["loads"]["data"]["values"]
    assert values[1] == {"domain": "code", "down": 3, "expert": 1, "load": 1.5}
    assert len(values) == 4


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5)), min_size=1, max_size=12), st.booleans())
def test_the_pareto_front_is_what_nothing_beats(points, up):
    """The window and the filter as Vega makes them; equal rows and ties at a higher cost lie on the line, too."""
    window, filter_ = plots.front("cost", "value", up)
    assert window["window"] == [{"op": "max" if up else "min", "field": "value", "as": "front"}]
    assert window["frame"] == [None, 0] and filter_["filter"] == "datum['value'] == datum.front"
    assert [key["field"] for key in window["sort"]] == ["cost", "value"]
    sign = 1 if up else -1
    descending = window["sort"][1]["order"] == "descending"
    ordered = sorted(points, key=lambda point: (point[1], -point[0] if descending else point[0]))
    running = [max(sign * value for value, _ in ordered[: place + 1]) for place in range(len(ordered))]
    kept = {point for point, best in zip(ordered, running, strict=True) if sign * point[0] == best}
    expected = {
        (value, cost)
        for value, cost in points
        if not any(sign * other > sign * value and dear <= cost for other, dear in points)
    }
    assert kept == expected


def test_an_entry_has_its_title_and_its_mark():
    entry = plots.Entry(3, "row", "t", None)
    assert entry.title == "3  row"
    assert entry.mark(2.0, (0.5, 1.0), cost=4.0) == {
        "name": entry.title,
        "value": 2.0,
        "low": 1.5,
        "high": 3.0,
        "cost": 4.0,
    }
