"""Sections and the page: what they hold, apart from how it is written to files."""

from dataclasses import replace

from sparsebench.reports.page.html import Page, render_html, section
from sparsebench.reports.page.speed import SpeedLine, SpeedReport
from sparsebench.reports.tables.claims import judge
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_table import SuiteInfo

from ..tables.claims.studies import CLAIM

INFO = SuiteInfo(title="Vision <b>", description="Small images.", baseline="base", unit="image")


EMPTY = Page(sections=(), records=(), superseded=0, problems=[], speed=None, speed_error=None)


def line(name, ratio):
    return SpeedLine(group="g", name=name, role="ours", median=1, iqr=0, rounds=3, ratio=ratio, floor=None)


def test_a_section_holds_all_of_a_suite(make):
    records = [make.record("base", "fashion_mnist"), make.record("a", "fashion_mnist", status="n/a", reason="why")]
    (matrix,) = matrices(records)
    found = section(matrix, INFO, "vision")
    assert found.anchor == "vision"
    assert found.footnotes == {"why": 1}
    assert [entry.row.label for entry in found.table.lines] == ["base", "a"]
    assert found.summaries
    assert len(found.notes.not_applicable) == 1


def test_published_figures_are_compared_on_tasks_of_the_same_name_only(make):
    for task, shared in (("svhn", True), ("a task of our own", False)):
        (matrix,) = matrices([make.record("base", task, cell={"suite": "vtab"})])
        found = section(matrix, INFO, "x")
        assert bool(found.compared) == shared
        assert found.published


def test_statuses_are_counted_the_good_ones_first(make):
    records = [make.record("a", seed=0, status="oom"), make.record("a", seed=1), make.record("a", seed=2)]
    assert list(replace(EMPTY, records=records).counts.items()) == [("ok", 2), ("oom", 1)]


def test_the_page_is_escaped_and_has_one_section_per_suite(make):
    record = make.record("base")
    (matrix,) = matrices([record])
    text = render_html(replace(EMPTY, sections=[section(matrix, INFO, "vision")], records=[record]))
    assert '<section id="vision">' in text
    assert "Vision &lt;b&gt;" in text
    assert "<b>" not in text


def test_speed_is_drawn_where_there_is_a_peer():
    assert EMPTY.speed_figure is None
    assert replace(EMPTY, speed=SpeedReport("cpu", (line("alone", None),))).speed_figure is None
    figure = replace(EMPTY, speed=SpeedReport("cpu", (line("ours", 2.0),))).speed_figure
    assert figure is not None
    assert "2.00×" in figure.svg


def test_claims_and_where_records_hold_are_told(make):
    claim = replace(CLAIM, statement="A is <better>.")
    text = render_html(replace(EMPTY, findings=judge([claim], []), holds="3 of 4 hold"))
    assert "A is &lt;better&gt;." in text
    assert "1 claim of papers: 1 is undecided." in text
    assert "3 of 4 hold." in text
