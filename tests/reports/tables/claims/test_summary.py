"""What a study found: the comparisons that its claims name, and no baseline that they do not."""

import dataclasses

from sparsebench.reports.page.html import unpack
from sparsebench.reports.page.reading import Reading
from sparsebench.reports.page.render import render
from sparsebench.reports.tables.claims import judge
from sparsebench.reports.tables.claims.summary import deciding_effect, surest_first, told_in_full
from sparsebench.reports.tables.suite_table import SuiteInfo

from .studies import CLAIM


def test_each_verdict_is_told_with_the_step_it_hangs_on(records):
    found = records({"A": 1.0, "B": 2.0, "C": 1.2, "D": 0.1})
    claims = [
        dataclasses.replace(CLAIM, id="C1", rows=("A", "B", "C"), relation="first"),
        dataclasses.replace(CLAIM, id="C2", rows=("A", "B", "D"), relation="first"),
        dataclasses.replace(CLAIM, id="C3", rows=("A", "none")),
    ]
    first, second, third = judge(claims, found)
    assert deciding_effect(first).startswith("A − C: −0.2")
    lead, words = told_in_full(second)
    assert lead == "Fails ✓: " and words.startswith(f"{CLAIM.statement} (A − D: +0.8")
    assert deciding_effect(third) == "A − none: none has no score on t"


def test_a_verdict_is_told_with_a_step_that_has_it(records):
    """A negligible gain over one of two rows was told by the large gain over the other one."""
    claim = dataclasses.replace(
        CLAIM, rows=("A", "B", "C"), relation="first", smallest_effect=0.02, smallest_reason="ours"
    )
    found = records({"A": 1.0, "B": 1.005}, noise=0.001) + records({"C": 1.2}, noise=0.06)
    (finding,) = judge([claim], found)
    assert finding.verdict == "negligible"
    assert deciding_effect(finding).startswith("A − B: −0.006 [")


def test_pairs_that_were_lost_are_told(records):
    """ "Holds" in the first line of a page hid that seven of ten pairs had no score."""
    found = records({"A": 1.0, "B": 2.0}, seeds=5)
    for number, record in enumerate(found):
        if record.cell.label == "A" and record.cell.seed > 2:
            found[number] = dataclasses.replace(record, status="failed", reason="NaN", metrics={}, main_metric=None)
    (finding,) = judge([CLAIM], found)
    assert told_in_full(finding)[1].endswith("bits/byte (2 of 5 pairs lost))")


def test_what_stands_comes_first_and_ours_after_papers(records):
    """D5: of two claims of one level the one is told that stands."""
    near = [dataclasses.replace(CLAIM, id=f"near {number}") for number in range(4)]
    far = dataclasses.replace(CLAIM, id="far", rows=("A", "C"))
    ours = dataclasses.replace(far, id="ours", ours=True)
    findings = judge([ours, *near, far], records({"A": 1.0, "B": 1.025, "C": 9.0}))
    ids = [finding.claim.id for finding in surest_first(findings)]
    assert ids[:2] == ["far", "near 0"] and ids[-1] == "ours"


def test_the_page_of_a_study_compares_what_its_claims_name(records, tmp_path):
    """D5: the page of a study crowned its control, against a baseline that no claim named."""
    infos = {"llm": SuiteInfo(title="Language", description="", baseline="probe", unit="token")}
    found = records({"A": 1.0, "B": 2.0, "probe": 9.0})
    roles = {"llm": {"B": "control"}}
    page = render(
        Reading(records=found, findings=judge([CLAIM], found, roles=roles), roles=roles), tmp_path, infos
    ).read_text()
    document = unpack(page)
    assert document["findings"][0]["lead"] == "Holds ✓: "
    assert "A − B (control): −1.010" in document["findings"][0]["text"]
