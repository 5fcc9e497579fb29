"""Where the numbers come from and what went wrong on the way: the notes and provenance of the page."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ..records.index.slim import Whole, already_whole
from ..records.record import Record
from ..tables.dataframe import canonical, seconds

MAX_FAILURES = 50
MAX_WARNINGS = 20
MAX_VALUES = 4


@dataclass(frozen=True)
class Reason:
    """One reason why cells are "n/a", and which ones."""

    text: str
    where: str
    cells: int


@dataclass(frozen=True)
class Notes:
    """What the reader of a suite must know in addition to the scores."""

    not_applicable: tuple[Reason, ...]
    failures: tuple[Record, ...]
    failures_excluded: int
    warnings: tuple[tuple[str, int], ...]
    warnings_excluded: int


@dataclass(frozen=True)
class Source:
    """One data or weight source and the suites that read it."""

    source: str
    version: str
    sha256: str | None
    licence: str
    suites: str


@dataclass(frozen=True)
class Provenance:
    """What all records have in common, and where they differ."""

    sources: tuple[Source, ...]
    environment: tuple[tuple[str, str], ...]
    code: tuple[str, ...]
    seeds: str
    seconds: float
    started: str
    finished: str


def notes(records: Sequence[Record], whole: Whole = already_whole) -> Notes:
    """Reasons, failures and warnings of one suite; long lists are cut, and the page says by how much.

    `whole` reads the tracebacks of the failures that are shown.
    """
    cells: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        if record.status == "n/a":
            cells[record.reason or ""].append(record)
    reasons = tuple(Reason(text, _where(members), len(members)) for text, members in cells.items())
    failures = [record for record in records if record.status not in ("ok", "n/a")]
    counts: Counter[str] = Counter()
    for record in records:
        counts.update(record.warnings)
    warnings = counts.most_common()
    return Notes(
        reasons,
        tuple(map(whole, failures[:MAX_FAILURES])),
        max(0, len(failures) - MAX_FAILURES),
        tuple(warnings[:MAX_WARNINGS]),
        max(0, len(warnings) - MAX_WARNINGS),
    )


def provenance(records: Sequence[Record]) -> Provenance:
    """The data sources, the environment, the seeds and the time behind all records."""
    suites: dict[tuple[str, str, str | None, str], dict[str, None]] = defaultdict(dict)
    values: dict[str, dict[str, None]] = defaultdict(dict)
    seen: set[tuple[str, int, int]] = set()
    for record in records:
        known = record.cell.suite, id(record.data), id(record.environment)
        if known in seen:  # slim records share these objects, and there may be very many records
            continue
        seen.add(known)
        for data in record.data:
            suites[data.source, data.version, data.sha256, data.licence][record.cell.suite] = None
        for key, value in record.environment.items():
            if not isinstance(value, str):
                value = canonical(value)
            values[key][value] = None
    # By name and version alone: a source without a checksum has None there, which has no order.
    named = sorted(suites.items(), key=lambda item: item[0][:2])
    seeds = sorted({record.cell.seed for record in records})
    return Provenance(
        tuple(Source(*source, ", ".join(used)) for source, used in named),
        tuple((key, _some(found)) for key, found in sorted(values.items())),
        tuple(dict.fromkeys(record.code for record in records)),
        _some(map(str, seeds)),
        sum(map(seconds, records)),
        min((record.started for record in records), default=""),
        max((record.finished for record in records), default=""),
    )


def _where(records: Sequence[Record]) -> str:
    """The labels and tasks that share a reason: "prefix tuning: digits, svhn"."""
    tasks: dict[str, dict[str, None]] = defaultdict(dict)
    for record in records:
        tasks[record.cell.label][record.cell.task] = None
    return _some((f"{label}: {_some(names)}" for label, names in tasks.items()), separator="; ")


def _some(values: Iterable[str], separator: str = ", ") -> str:
    found = list(values)
    more = len(found) - 2 * MAX_VALUES
    text = separator.join(found[: 2 * MAX_VALUES])
    if more > 0:
        text += f" and {more} more"
    return text


def commits_note(records: Sequence[Record], unknown: Collection[str]) -> str:
    """What is not right with the commits that records name; empty where all is.

    `unknown` are commits that the repository does not have. A record says by itself that its tree had changes that no
    commit holds.
    """
    absent = [record for record in records if record.commit in unknown]
    dirty = sum(record.environment.get("dirty") is True for record in records)
    parts = []
    if absent:
        commits = _some(dict.fromkeys(str(record.environment.get("commit"))[:8] for record in absent))
        how_many = f"{len(absent):,} of {len(records):,} records"
        parts.append(f"{how_many} name a commit that this repository does not have ({commits})")
    if dirty:
        how_many = f"{dirty:,} of {len(records):,}"
        if not absent:  # else the sentence before has said of what
            how_many += " records"
        parts.append(f"{how_many} were made with changes that no commit holds")
    return "; ".join(parts)
