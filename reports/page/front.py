"""The first screen: three findings, the sum of the claims, and what is known of the records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..tables.claims import VERDICTS, Finding
from ..tables.claims.document import counts
from ..tables.claims.summary import told_in_full

MOST_FINDINGS = 3


def findings(tracks: Sequence[Mapping[str, Any]], claims: Sequence[Finding]) -> list[dict[str, str]]:
    """Three findings in one line each, with what an address opens.

    Of a study they are its claims, those that stand first. Else each suite in turn gives the track from which a reader
    learns most.

    Args:
        tracks: those of all suites.
        claims: what a study found.
    """
    if claims:
        decided = sorted(claims, key=_doubt)[:MOST_FINDINGS]
        return [{"lead": lead, "text": text, "open": "sheet=claims"} for lead, text in map(told_in_full, decided)]
    return [
        {"lead": f"{track['name']}: ", "text": track["short"], "open": f"track={track['id']}"}
        for track in _in_turn(tracks)
    ][:MOST_FINDINGS]


def _doubt(finding: Finding) -> tuple[bool, bool, int]:
    """Claims of papers that stand come first, then by verdict."""
    return not finding.claim.published, not finding.stands, VERDICTS.index(finding.verdict)


def _in_turn(tracks: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The best of each suite, then the second of each, and so on."""
    by_suite: dict[str, list[Mapping[str, Any]]] = {}
    for track in tracks:
        by_suite.setdefault(track["suite"], []).append(track)
    for members in by_suite.values():
        members.sort(key=lambda track: (track["rank"], -len(track["rows"])))
    for place in range(max(map(len, by_suite.values()), default=0)):
        for members in by_suite.values():
            if place < len(members):
                yield members[place]


def claims_bar(claims: Sequence[Finding]) -> dict[str, Any] | None:
    """The verdicts on what papers claim as one bar, our own statements apart; None without claims."""
    if not claims:
        return None
    published = Counter(finding.verdict for finding in claims if finding.claim.published)
    own = [finding for finding in claims if not finding.claim.published]
    parts = [{"verdict": verdict, "count": published[verdict]} for verdict in VERDICTS]
    return {"total": published.total(), "parts": parts, "own": len(own), "own_words": counts(own)}
