"""What a study found in a suite: the comparisons that its claims name, the verdicts that stand first.

A study has rows that nothing else is compared with than what its claims say: a control of equal size is no method that
beats a baseline. So its summary is made from the claims, and that of other results from a baseline (`summary`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..summary import Summary
from .claim import VERDICTS
from .document import mark, step_in_words
from .judging import Finding, Step

MOST = 4
"""Claims of one verdict that are told."""


def study_summaries(findings: Sequence[Finding], suite: str) -> list[Summary]:
    """One summary for each verdict; none for a suite without claims.

    Args:
        findings: what the records say of each claim.
        suite: the name of the suite.

    Returns:
        The summaries.
    """
    members = [finding for finding in findings if finding.claim.suite == suite]
    found = []
    for verdict in VERDICTS:
        judged = [finding for finding in members if finding.verdict == verdict]
        judged.sort(key=lambda finding: not finding.stands)
        if judged:
            sentences = list(map(_told, judged[:MOST]))
            if len(judged) > MOST:
                sentences.append(f"and {len(judged) - MOST} more")
            found.append(Summary(verdict.capitalize(), f"{'; '.join(sentences)}."))
    return found


def told_in_full(finding: Finding) -> tuple[str, str]:
    """The verdict, and the statement with the effect that the verdict hangs on."""
    words = finding.reason or step_in_words(finding, _deciding(finding))
    return f"{finding.verdict.capitalize()}{mark(finding)}: ", f"{finding.claim.statement} ({words})"


def _told(finding: Finding) -> str:
    words = step_in_words(finding, _deciding(finding))
    if finding.reason:
        words = finding.reason
    return f"{finding.claim.id}{mark(finding)}, {words}"


def _deciding(finding: Finding) -> Step:
    """The step that a verdict hangs on: the surest one against the claim, else the least sure one for it."""
    against = [step for step in finding.steps if step.verdict == finding.verdict == "fails"]
    if against:
        return max(against, key=lambda step: _sureness(finding, step))
    return min(finding.steps, key=lambda step: _sureness(finding, step))


def _sureness(finding: Finding, step: Step) -> float:
    """How many half widths of its interval an effect lies from the border of what the claim says."""
    if step.effect is None or step.effect.half_width is None:
        return 0.0
    distance = abs(finding.claim.ahead(step.effect.mean))
    if step.effect.half_width == 0:
        return math.inf if distance else 0.0
    return distance / step.effect.half_width
