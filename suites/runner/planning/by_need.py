"""Seeds by need: which rows get how many at the next look, by what the claims say so far.

What is run follows from the records alone, so that a run that was stopped goes on as if it had not been.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sparsebench.reports.tables.claims import Finding

from .profile import Profile, SuitePlan


def grown(profile: Profile, findings: Iterable[Finding]) -> Profile:
    """The profile with the seeds of the next look for the rows of claims that are open; the same where none is.

    Args:
        profile: with the seeds so far.
        findings: what the records of these seeds say.
    """
    found = list(findings)
    return replace(profile, plans=tuple(_grown(plan, found) for plan in profile.plans))


def _grown(plan: SuitePlan, findings: Iterable[Finding]) -> SuitePlan:
    seeds = dict(plan.row_seeds)
    for finding in findings:
        claim = finding.claim
        if finding.is_open and claim.suite == plan.suite and plan.looks:
            nulls = [row for check in claim.checks if check.kind == "null row" for row in check.rows]
            for row in (*claim.all_rows, *nulls):
                seeds[row] = max(seeds.get(row, plan.seeds), claim.looks[finding.look + 1])
    return replace(plan, row_seeds=seeds)


def said(profile: Profile, findings: Iterable[Finding]) -> str:
    """How far the looks are: "seeds by need: 3 of 20 claims stand, 12 may go on, 2 given up; llm: up to 6 of 12
    seeds for 14 rows"."""
    members = [finding for finding in findings if finding.claim.looks]
    standing = sum(finding.stands for finding in members)
    still = sum(finding.is_open for finding in members)
    text = f"seeds by need: {standing} of {len(members)} claims stand, {still} may go on"
    given_up = sum(finding.is_given_up for finding in members)
    if given_up:
        text += f", {given_up} given up"
    for plan in profile.plans:
        if plan.row_seeds:
            most = max(plan.row_seeds.values())
            rows = sum(number == most for number in plan.row_seeds.values())
            text += f"; {plan.suite}: up to {most} of {plan.looks[-1]} seeds for {rows} rows"
    return text
