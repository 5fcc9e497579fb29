"""The few figures that a terminal and a program are shown of each row."""

import io

import pytest
from rich.console import Console

from sparsebench.reports.tables.brief import briefs, to_document, to_terminal
from sparsebench.reports.tables.comparison import contrasts
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_table import SuiteInfo, suite_table

INFO = SuiteInfo(title="Vision", description="", baseline="base", unit="image")


def briefs_of(records):
    (matrix,) = matrices(records)
    return briefs(suite_table(matrix, INFO), contrasts(matrix, INFO))


def shown(brief, most=40):
    console = Console(width=120, file=io.StringIO())
    console.print(to_terminal(brief, most))
    return console.file.getvalue()


def test_a_row_has_its_score_its_outcome_and_two_costs(make):
    (brief,) = briefs_of(make.side("base", [0.70, 0.71, 0.72]) + make.side("a [red]x", [0.80, 0.81, 0.82]))
    text = shown(brief)
    assert text.startswith("Vision: t (%) ↑")
    line = next(line for line in text.splitlines() if "a [red]x" in line)
    assert "81.0 ± " in line and "better" in line
    document = to_document(brief)
    base, a = document["rows"]
    assert (base["role"], base["outcome"], a["outcome"], a["baseline"]) == ("baseline", None, "better", "base")
    assert a["low"] < a["score"] < a["high"]
    assert a["difference_low"] < a["difference"] == pytest.approx(a["score"] - base["score"])
    assert document["tasks"] == ["t@1"] and document["higher_is_better"]
    html = brief._repr_html_()
    assert html.startswith("<table><caption>Vision: t (%) ↑ on vit-tiny</caption>")
    assert "<th>a [red]x</th><td><b>81.0 ± " in html and "<td>better</td>" in html


def test_a_row_with_a_part_of_the_tasks_says_which(make):
    """A mean over fewer tasks would be of another thing."""
    records = [make.record(label, task=task) for label in ("base", "all") for task in ("one", "two", "three")]
    records.append(make.record("part", task="two"))
    records += [make.record("more", task=task) for task in ("one", "two")]
    records.append(make.record("none", task="one", status="n/a", reason="why"))
    (brief,) = briefs_of(records)
    assert "of 3 tasks" in brief.title
    texts = {line.line.name: shown_line for line in brief.lines for shown_line in shown(brief).splitlines()
             if shown_line.strip().startswith(line.line.name)}  # fmt: skip
    assert "on two alone" in texts["part"] and "on 2 tasks" in texts["more"]
    assert "none" not in texts
    assert "on " not in texts["all"]


def test_what_failed_is_said_and_what_does_not_fit_is_counted(make):
    records = [make.record(f"row {number}") for number in range(4)] + [make.record("base")]
    records.append(make.record("broken", status="failed", reason="why"))
    (brief,) = briefs_of(records)
    assert "failed" in shown(brief)
    assert "and 4 more rows" in shown(brief, most=2)
    row = next(row for row in to_document(brief)["rows"] if row["label"] == "broken")
    assert (row["status"], row["reason"], row["score"]) == ("failed", "why", None)
