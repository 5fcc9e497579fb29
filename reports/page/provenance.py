"""Where the numbers come from: what all records have in common, and what is not right with their commits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ..records.record import Record
from ..tables.dataframe import canonical, seconds

MAX_VALUES = 4


@dataclass(frozen=True)
class Provenance:
    """What all records have in common, and where they differ.

    `sources` are of data and weights: name, version, sha256 or a dash, licence, and the suites that read it.
    """

    sources: tuple[tuple[str, ...], ...]
    environment: tuple[tuple[str, str], ...]
    code: tuple[str, ...]
    seeds: str
    seconds: float
    started: str
    finished: str


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
        tuple((name, version, sha256 or "–", *more, ", ".join(used)) for (name, version, sha256, *more), used in named),
        tuple((key, some(found)) for key, found in sorted(values.items())),
        tuple(dict.fromkeys(record.code for record in records)),
        some(map(str, seeds)),
        sum(map(seconds, records)),
        min((record.started for record in records), default=""),
        max((record.finished for record in records), default=""),
    )


def some(values: Iterable[str], separator: str = ", ") -> str:
    """The first values, and how many more there are."""
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
        commits = some(dict.fromkeys(str(record.environment.get("commit"))[:8] for record in absent))
        how_many = f"{len(absent):,} of {len(records):,} records"
        parts.append(f"{how_many} name a commit that this repository does not have ({commits})")
    if dirty:
        how_many = f"{dirty:,} of {len(records):,}"
        if not absent:  # else the sentence before has said of what
            how_many += " records"
        parts.append(f"{how_many} were made with changes that no commit holds")
    return "; ".join(parts)
