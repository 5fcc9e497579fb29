"""What cells and titles say, and the table in a notebook."""

from sparsebench.reports.statistics import Estimate
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_entries import Entry, entry_text
from sparsebench.reports.tables.suite_table import SuiteInfo, suite_table

INFO = SuiteInfo(title="Vision", description="", baseline="base", unit="image", roles={"random": "control"})


def test_a_cell_says_the_score_with_its_marks_or_why_there_is_none() -> None:
    found = Estimate(0.5, 0.01, 3, "seeds and examples")
    assert entry_text(Entry(kind="value", estimate=found), "share", {}) == "50.0 ± 1.0"
    assert entry_text(Entry(kind="value", estimate=found, at_chance=True, lost=1), "share", {}) == "50.0 ± 1.0†!"
    assert entry_text(Entry(kind="n/a", reason="why"), "share", {"why": 2}) == "n/a [2]"
    assert [entry_text(Entry(kind=kind), "", {}) for kind in ("oom", "missing")] == ["oom", "–"]


def test_a_notebook_shows_scores_means_and_roles(make) -> None:
    records = [record for task in "xy" for record in make.side("base", [0.5, 0.51, 0.52], task)]
    records += [record for task in "xy" for record in make.side("<i>", [0.8, 0.81, 0.82], task)]
    records.append(make.record("random", "x"))
    (matrix,) = matrices(records)
    html = suite_table(matrix, INFO)._repr_html_()
    assert html.startswith("<table><caption>Vision</caption>")
    assert "<th>x (%) ↑</th><th>y (%) ↑</th><th>mean accuracy (%) ↑</th>" in html
    assert "<th>&lt;i&gt;</th><td><b>81.0 ± " in html and "<i>" not in html
    assert "<th>random (control)</th>" in html and "<td>–</td>" in html
