"""Molecules and property control on the page: which seed, how many, escaped, and never in the way of the scores."""

import re

import pytest

from sparsebench.reports.figures.suite_figures import MAX_LINES
from sparsebench.reports.panels import molecules
from sparsebench.reports.panels.molecule_panels import MAX_CONTROLS, MAX_MOLECULES, MAX_PANELS
from sparsebench.reports.panels.molecules import Drawn, Panel
from sparsebench.reports.panels.property_control import to_details
from sparsebench.reports.render import render
from sparsebench.reports.tables import SuiteInfo

INFOS = {"vtab": SuiteInfo(title="T", description="", baseline="row 00", unit="molecule")}


@pytest.fixture
def page(tmp_path):
    return lambda *records: render(records, [], tmp_path, INFOS).read_text()


def titles(text):
    found = re.findall(r'<h4><span class="row"><span class="chip"[^>]*>(\d+)</span><span>([^<]*)</span>', text)
    return [f"{number} {title}" for number, title in found]


def details(smiles="CCO", title="first", size=1):
    return molecules.to_details([Panel(title, "grid", (Drawn(smiles, "a caption"),) * size)])


def test_the_lowest_seed_of_each_row_and_task_is_drawn(make, page):
    records = [
        make.record(f"row {row:02d}", task, seed, details=details("CC" if seed else "CO", f"seed {seed}"))
        for row in range(2)
        for task in ("t", "u")
        for seed in (2, 0, 1)
    ]
    text = page(*records)
    assert titles(text) == [f"{row + 1} row {row:02d} · {task}: seed 0" for row in range(2) for task in ("t", "u")]
    assert text.count('aria-label="CO"') == 4
    assert 'aria-label="CC"' not in text


def test_panels_are_capped_and_the_page_says_so(make, page):
    records = [make.record(f"row {row:02d}", details=details()) for row in range(MAX_PANELS + 2)]
    text = page(*records)
    assert len(titles(text)) == MAX_PANELS
    assert "2 more panels are in the records." in text
    assert "1 more panel is in the records." in page(*records[:-1])
    assert "in the records." not in page(*records[:-2])


def test_large_panels_are_cut(make, page):
    text = page(make.record(details=details(size=MAX_MOLECULES + 3)))
    assert text.count('aria-label="CCO"') == MAX_MOLECULES
    assert "3 more of this panel are in the record." in text


def test_texts_are_escaped_and_what_cannot_be_read_is_shown(make, page):
    bad = '"><script>alert(1)</script>'
    panel = Panel(f"title {bad}", "path", (Drawn(f"C{bad}", f"caption {bad}"), Drawn("")))
    text = page(make.record(details=molecules.to_details([panel])))
    assert "<script>alert" not in text
    assert '<code class="unread">C&#34;&gt;&lt;script&gt;' in text
    assert '<code class="unread">(empty)</code>' in text
    assert '<ol class="path">' in text


def test_a_broken_entry_does_not_hide_the_scores(make, page):
    broken = {"molecules": [{"title": "<b>"}], "property_control": {"logP": []}}
    text = page(make.record("row 00", details=broken), make.record("row 01", details=details()))
    assert text.count("Not drawn: record ") == 2
    assert titles(text) == ["2 row 01 · t: first"]
    assert "50.0" in text


def test_property_control_is_one_figure_per_task_and_property(make, page):
    records = [
        make.record(f"row {row:02d}", task, seed, details=to_details(make.controls()))
        for row in range(MAX_LINES + 1)
        for task in ("a", "b", "c", "d")
        for seed in (1, 0)
    ]
    text = page(*records)
    assert text.count(", achieved against target") == MAX_CONTROLS
    assert 'aria-label="a: QED, achieved against target"' in text
    assert "1 more rows have such lines." in text
    assert f"{8 - MAX_CONTROLS} more pairs of task and property are not drawn." in text


def test_nothing_is_said_where_there_is_nothing(make, page):
    text = page(make.record())
    assert "Property control" not in text
    assert "Molecules" not in text
    assert "Not drawn" not in text
