"""Which figures the page shows of a suite: a bounded number, and what it says of the rest."""

import pytest

from sparsebench.reports.figures import plots
from sparsebench.reports.figures.suite_figures import MAX_BARS, MAX_CURVES, MAX_LINES, suite_figures
from sparsebench.reports.records.record import Costs
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_table import SuiteInfo, suite_table

INFO = SuiteInfo(title="Vision", description="", baseline="base", unit="image")


def figures(records):
    (matrix,) = matrices(records)
    return suite_figures(matrix, suite_table(matrix, INFO))


def costs(**measured):
    return Costs(unit="image", **measured)


def test_quality_is_drawn_against_every_cost_that_differs(make):
    records = [
        make.record(label, costs=costs(params_active=active, bytes=1000, latency_ms=latency))
        for label, active, latency in (("base", 10, 1.0), ("a", 20, 2.0))
    ]
    found = figures(records)
    assert [figure.title for figure in found.tradeoffs] == ["t against active parameters", "t against latency"]
    assert found.equal_costs == ("size on disk (MB)",)


def test_a_single_row_with_costs_is_no_trade_off(make):
    assert figures([make.record("base", costs=costs(bytes=1000)), make.record("a")]).tradeoffs == ()


def test_every_task_has_bars_up_to_a_number(make):
    records = [make.record("base", f"task {number}") for number in range(MAX_BARS + 2)]
    found = figures(records)
    assert len(found.bars) == MAX_BARS
    assert found.tasks_excluded == 2
    assert figures(records[:1]).tasks_excluded == 0


def test_bars_say_what_chance_is(make):
    (bars,) = figures([make.record("base", score=make.metric(0.5, chance=0.1))]).bars
    assert bars.caption == "Dashed: chance, 10.0 %."
    (bars,) = figures([make.record("base")]).bars
    assert bars.caption == ""


@pytest.mark.parametrize("rows", [1, plots.MAX_MARKS, plots.MAX_MARKS + 3])
def test_rows_beyond_the_figures_are_counted(make, rows):
    assert figures([make.record(f"row {i}") for i in range(rows)]).rows_excluded == max(0, rows - plots.MAX_MARKS)


def test_curves_are_means_over_the_seeds_where_all_have_a_point(make, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "curves", lambda lines, title, name: drawn.append((lines, title)) or "<svg></svg>")
    points = ([(0.0, 1.0), (1.0, 3.0)], [(0.0, 2.0), (1.0, 5.0), (2.0, 9.0)])
    figures([make.record("base", seed=seed, curves={"loss": curve}) for seed, curve in enumerate(points)])
    ((((mark, curve),), title),) = drawn
    assert title == "t: loss"
    assert mark.number == 1
    assert curve == [(0.0, 1.5), (1.0, 4.0)]


def test_curves_without_a_common_point_show_the_first_seed(make, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "curves", lambda lines, title, name: drawn.append(lines) or "<svg></svg>")
    points = ([(0.0, 1.0), (1.0, 3.0)], [(5.0, 2.0), (6.0, 5.0)])
    figures([make.record("base", seed=seed, curves={"loss": curve}) for seed, curve in enumerate(points)])
    (((_, curve),),) = drawn
    assert curve == points[0]


def test_curves_are_bounded(make):
    curve = {f"curve {i}": [(0.0, 1.0), (1.0, 2.0)] for i in range(MAX_CURVES + 2)}
    records = [make.record(f"row {i:02d}", curves=curve) for i in range(MAX_LINES + 2)]
    assert len(figures(records).curves) == MAX_CURVES
    assert figures([make.record("base", curves={"loss": [(0.0, 1.0)]})]).curves == (), "one point is no curve"
