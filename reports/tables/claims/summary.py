"""What a study found, in one line for each claim: its verdict, and the effect that the verdict hangs on.

A study has rows that nothing else is compared with than what its claims say: a control of equal size is no method that
beats a baseline. So its findings are told from its claims, those of other results from a baseline (`tables.summary`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from .claim import VERDICTS
from .document import mark, step_in_short
from .judging import Finding, Step


def surest_first(findings: Iterable[Finding]) -> list[Finding]:
    """Claims of papers before statements of ours; of each those that stand first, these in the order of verdicts."""
    return sorted(findings, key=_doubt)


def _doubt(finding: Finding) -> tuple[bool, bool, int]:
    return finding.claim.ours, not finding.stands, VERDICTS.index(finding.verdict)


def told_in_full(finding: Finding) -> tuple[str, str]:
    """The verdict, and the statement with the effect that the verdict hangs on."""
    words = finding.reason or deciding_effect(finding)
    return f"{finding.verdict.capitalize()}{mark(finding)}: ", f"{finding.claim.statement} ({words})"


def deciding_effect(finding: Finding) -> str:
    """The step that a verdict hangs on, in words: the surest one against the claim, else the least sure one for it."""
    of_verdict = [step for step in finding.steps if step.verdict == finding.verdict] or finding.steps
    choose = max if finding.verdict == "fails" else min
    step = choose(of_verdict, key=lambda step: _sureness(finding, step))
    text = step_in_short(finding, step)
    found = step.compared.found
    if found is not None and found.lost:
        text += f" ({found.lost} of {found.pairs + found.lost} pairs lost)"
    return text


def _sureness(finding: Finding, step: Step) -> float:
    """How many half widths of its interval an effect lies from the border of what the claim says."""
    if step.effect is None or step.effect.half_width is None:
        return 0.0
    distance = abs(finding.claim.ahead(step.effect.mean))
    if step.effect.half_width == 0:
        return math.inf if distance else 0.0
    return distance / step.effect.half_width
