"""The first findings of a report: of each suite in turn the family of tasks from which a reader learns most.

Of a study they are its surest claims.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import yaml

from ..tables import formatting
from ..tables.brief import Brief, briefs
from ..tables.claims import VERDICTS, Finding
from ..tables.claims.document import counts
from ..tables.claims.summary import surest_first, told_in_full
from ..tables.comparison import contrasts
from ..tables.matrix import Column, Matrix
from ..tables.suite_entries import Family, SuiteTable
from ..tables.suite_table import SuiteInfo
from ..tables.summary import Summary, summary

MOST = 3
MOST_NAMES = 3


@cache
def _names() -> dict[str, str]:
    text = (Path(__file__).parent / "task_names.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def spoken(task: str) -> str:
    """The name of a task as people say it: "Hydration free energy (FreeSolv)" for "freesolv"."""
    if task in _names():
        return _names()[task]
    words = task.replace("_", " ")
    return words[:1].upper() + words[1:]


def spoken_column(column: Column) -> str:
    """The task of a column as people say it, with its version where another one has a column, too."""
    if column.versions == 1:
        return spoken(column.task)
    return f"{spoken(column.task)}, version {column.version}"


def family_name(family: Family) -> str:
    """The task of a track, or its tasks: "Handwritten digits and Fashion-MNIST"."""
    names = [spoken_column(column) for column in family.columns]
    if len(names) > MOST_NAMES:
        return f"{family.title.capitalize()} over {len(names)} tasks"
    return formatting.listed(names)


def measure(column: Column) -> str:
    """Metric, unit and the direction that is better: "accuracy (%) ↑"."""
    return measure_of(column.metric, column.unit, column.higher_is_better)


def measure_of(metric: str, unit: str, higher_is_better: bool) -> str:
    """The same of a metric that is no column."""
    shown = formatting.shown_unit(unit)
    name = metric.replace("_", " ")
    if shown and shown.replace("/", " per ") != name:
        name += f" ({shown})"
    return f"{name} {'↑' if higher_is_better else '↓'}"


@dataclass(frozen=True)
class Headline:
    """What was found on one track, whose address on the page is `track`."""

    suite: str
    track: str
    brief: Brief
    found: Summary

    @property
    def name(self) -> str:
        """The tasks, as people say them."""
        return family_name(self.brief.family)


def headlines(suite: str, matrix: Matrix, info: SuiteInfo, table: SuiteTable) -> list[Headline]:
    """Those of all tracks of a suite, whose name in addresses is `suite`."""
    found = briefs(table, contrasts(matrix, info))
    return [Headline(suite, f"{suite}.{place}", one, summary(matrix, one)) for place, one in enumerate(found, start=1)]


def most_telling(found: Sequence[Headline]) -> list[Headline]:
    """Three of them: each suite in turn gives the track from which a reader learns most, of several the larger."""
    return list(islice(_in_turn(found), MOST))


def _in_turn(found: Sequence[Headline]) -> Iterator[Headline]:
    """The best of each suite, then the second of each, and so on."""
    by_suite: dict[str, list[Headline]] = {}
    for one in found:
        by_suite.setdefault(one.suite, []).append(one)
    for members in by_suite.values():
        members.sort(key=lambda one: (one.found.rank, -len(one.brief.lines)))
    for members in zip_longest(*by_suite.values()):
        yield from filter(None, members)


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
    published = Counter(finding.verdict for finding in claims if not finding.claim.ours)
    own = [finding for finding in claims if finding.claim.ours]
    parts = [{"verdict": verdict, "count": published[verdict]} for verdict in VERDICTS]
    return {"total": published.total(), "parts": parts, "own": len(own), "own_words": counts(own)}
