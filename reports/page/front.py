"""The first screen: three findings, and the sum of the claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..tables.claims import VERDICTS, Finding
from ..tables.claims.document import counts
from ..tables.claims.summary import surest_first, told_in_full
from .headlines import MOST, Headline, most_telling


def findings(tracks: Sequence[Headline], claims: Sequence[Finding]) -> list[dict[str, str]]:
    """Three findings in one line each, with what an address opens; of a study they are its surest claims.

    Args:
        tracks: those of all suites.
        claims: what a study found.
    """
    if claims:
        told = map(told_in_full, surest_first(claims)[:MOST])
        return [{"lead": lead, "text": text, "open": "sheet=claims"} for lead, text in told]
    found = []
    for one in most_telling(tracks):
        found.append({"lead": f"{one.name}: ", "text": one.found.short, "open": f"track={one.track}"})
    return found


def claims_bar(claims: Sequence[Finding]) -> dict[str, Any] | None:
    """The verdicts on what papers claim as one bar, our own statements apart; None without claims."""
    if not claims:
        return None
    published = Counter(finding.verdict for finding in claims if finding.claim.published)
    own = [finding for finding in claims if not finding.claim.published]
    parts = [{"verdict": verdict, "count": published[verdict]} for verdict in VERDICTS]
    return {"total": published.total(), "parts": parts, "own": len(own), "own_words": counts(own)}
