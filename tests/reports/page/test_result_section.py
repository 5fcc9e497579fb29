"""Sections of RESULTS.md: what is found first, in few columns, and then what is doubtful."""

import dataclasses

from sparsebench.reports.page.reading import Reading
from sparsebench.reports.page.result_section import section_of, suites_of
from sparsebench.reports.tables.claims import Check, judge

from .runs import INFOS, claim, records


def told(reading):
    return section_of("r", reading, suites_of(reading, INFOS))


def test_places_have_tables_of_their_own_and_claims_of_one_statement_a_row(make):
    placed = dataclasses.replace(claim("C1", ("base", "LoRA")), place="on small images")
    twin = dataclasses.replace(placed, id="C2")
    other = dataclasses.replace(placed, id="C3", statement="It helps.", place="elsewhere")
    stated = Check(kind="stated", reason="the rows are not comparable")
    broken = dataclasses.replace(placed, id="C4", checks=(stated,))
    findings = judge([placed, twin, other, broken], records(make))
    text = told(Reading(records=records(make), findings=findings))
    assert (
        "On small images:\n\n| claim | verdict | effect [95 %] |\n| --- | --- | --- |\n| LoRA helps. `C1`, `C2` |"
        in text
    )
    assert "Elsewhere:\n\n| claim |" in text
    assert "\n- Not testable here: `C4` (the rows are not comparable).\n" in text.partition("### Doubt")[2]


def test_of_ours_those_that_do_not_stand_are_named_alone(make):
    """Eight statements of which each is too weak to be corrected for the others."""
    made = make.side("base", [0.5, 0.51, 0.52]) + make.side("LoRA", [0.532, 0.542, 0.552])
    claims = [claim(f"C{number}", ("base", "LoRA"), ours=True) for number in range(8)]
    findings = judge(claims, made)
    assert {finding.verdict for finding in findings} == {"holds"} and not any(one.stands for one in findings)
    text = told(Reading(records=made, findings=findings))
    assert f"\nOf ours, uncorrected: {', '.join(f'`C{number}`' for number in range(8))} hold.\n" in text
    assert "| LoRA helps." not in text


def test_roles_of_the_plan_are_heeded_by_tables_and_summaries(make):
    """D5: a row of equal size, there as a control, was said to beat the baseline."""
    reading = Reading(records=records(make), roles={"vtab": {"LoRA": "control"}})
    text = told(reading)
    assert "LoRA beats" not in text
    assert "Controls: LoRA (+20.0), better." in text
    assert "| LoRA (control) |" in text


def test_commits_that_are_not_here_are_told(make):
    made = [make.record("base", environment={"commit": "abcdef012345"})]
    reading = Reading(records=made, unknown_commits={"abcdef012345"})
    line = (
        "- Code that is in no commit here: 1 of 1 records name a commit that this repository does not have (abcdef01)."
    )
    assert line in told(reading).splitlines()
    known = Reading(records=made)
    assert "does not have" not in told(known)
