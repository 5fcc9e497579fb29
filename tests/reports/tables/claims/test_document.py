"""A study in words: expectations, effects, the counts of the verdicts and the document."""

import dataclasses

from sparsebench.reports.page.html import unpack
from sparsebench.reports.page.provenance import NEVER
from sparsebench.reports.page.reading import Reading
from sparsebench.reports.page.render import render
from sparsebench.reports.tables.claims import judge
from sparsebench.reports.tables.claims.document import (
    count_verdicts,
    effects,
    expectation,
    to_markdown,
    where,
)
from sparsebench.reports.tables.suite_table import SuiteInfo

from .studies import CLAIM

INFOS = {"llm": SuiteInfo(title="Language", description="", baseline="A", unit="token")}
NOTE = f"Records made by an unknown commit; {NEVER}"
"""What `render` says of records without a commit in a folder where nothing was run again."""


def test_claims_of_papers_and_our_own_are_counted_apart(records):
    """R18: 12 of 35 statements that were counted as what papers claim were our own."""
    ours = dataclasses.replace(CLAIM, id="C2", rows=("B", "A"), ours=True)
    other = dataclasses.replace(CLAIM, id="C3", source="our own", ours=True)
    findings = judge([CLAIM, ours, other], records({"A": 1.0, "B": 2.0}))
    assert count_verdicts(findings) == (
        "1 claim of papers: 1 holds (corrected over the study: 1 holds); "
        "2 of our own: 1 holds, 1 fails (corrected over the study: 1 holds, 1 fails)."
    )
    assert count_verdicts(findings[1:2]) == "1 of our own: 1 fails (corrected over the study: 1 fails)."


def test_expectations_in_words():
    assert expectation(CLAIM) == "A < B in bits"
    assert expectation(dataclasses.replace(CLAIM, direction="higher", margin=0.5)) == "A > B in bits, margin 0.5"
    assert expectation(dataclasses.replace(CLAIM, relation="equal", margin=0.5)) == "A ≈ B in bits, margin 0.5"
    star = dataclasses.replace(CLAIM, rows=("A", "B", "C"), relation="first")
    assert expectation(star) == "A < B; A < C in bits"
    itself = dataclasses.replace(CLAIM, rows=("A", "A"), metric="best", against="bits", margin=0.5)
    assert expectation(itself) == "A (best) < A (bits), margin 0.5"


def test_the_document_and_the_page_show_the_verdicts(records, tmp_path):
    found = records({"A": 1.0, "B": 2.0})
    findings = judge([CLAIM, dataclasses.replace(CLAIM, id="C2", rows=("B", "A"), note="our own")], found)
    text = to_markdown(findings, [NOTE])
    assert "2 claims of papers: 1 holds, 1 fails (corrected over the study: 1 holds, 1 fails)." in text
    assert "Machine: chip, 2 cores." in text
    assert r"somebody \| 2026" in text
    row = next(line for line in text.splitlines() if line.startswith("| C1"))
    for part in ("A < B in bits; net, t", "| holds ✓ |", "−1.010 [−1.035, −0.985] bits/byte", "| 3 |", "12 s"):
        assert part in row
    page = unpack(render(Reading(records=found, findings=findings), tmp_path, INFOS).read_text())
    assert (tmp_path / "claims.md").read_text() == text
    (sheet,) = [sheet for sheet in page["sheets"] if sheet["id"] == "claims"]
    assert page["claims"]["total"] == 2
    assert sheet["blocks"][0]["text"].startswith("2 claims of papers: 1 holds, 1 fails")
    without = unpack(render(Reading(records=found), tmp_path / "without", INFOS).read_text())
    assert without["claims"] is None and all(sheet["id"] != "claims" for sheet in without["sheets"])
    assert not (tmp_path / "without" / "claims.md").exists()


def test_the_document_shows_rows_and_statements_as_they_are(records):
    odd = dataclasses.replace(CLAIM, rows=("A*", "<b>"), statement="*A* beats\n<b>", place="a_b_")
    text = to_markdown(judge([odd], records({"A*": 1.0, "<b>": 2.0})))
    row = next(line for line in text.splitlines() if line.startswith("| C1"))
    assert r"| \*A\* beats \<b> |" in row and r"A\* < \<b> in bits" in row and r"A\* − \<b>: −1.010" in row
    assert r"| holds ✓ a_b\_ |" in row


def test_controls_are_named_and_so_is_the_budget(records):
    claim = dataclasses.replace(CLAIM, budget={"epochs": 10})
    (finding,) = judge([claim], records({"A": 1.0, "B": 2.0}), roles={"llm": {"B": "control", "C": "control"}})
    assert next(iter(effects(finding))).startswith("A − B (control): −1.010")
    assert where(claim) == "net, t, epochs 10"


def test_an_objection_stands_at_the_top(records, tmp_path):
    findings = judge([CLAIM], records({"A": 1.0, "B": 2.0}))
    objection = "Objected to <until> it is made again."
    assert to_markdown(findings, objection=objection).splitlines()[2] == f"**{objection}**"
    page = render(
        Reading(records=records({"A": 1.0, "B": 2.0}), findings=findings, objection=objection), tmp_path, INFOS
    )
    assert unpack(page.read_text())["about"]["warnings"][0] == objection
    assert (tmp_path / "claims.md").read_text() == to_markdown(findings, [NOTE], objection)
