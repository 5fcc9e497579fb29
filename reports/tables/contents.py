"""Which data a score is of, where these are whatever their owner puts there: one task on two tables is two tasks.

The version of a task says what its data are, but for a folder of the user's, which has one name whatever lies in it.
Records keep the digest of its content. Rows on other content are not compared, and of result folders that are read
together each content has a column of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from ..records.record import Record

YOURS = "yours"
"""What a record has as the version of a source that is whatever its owner puts there."""
SHOWN = 8
"""Digits of a digest that tell contents apart."""
Content = Mapping[str, str]
"""Source to the digest of what it held."""


def content_of(record: Record) -> Content:
    """What the user's own sources of a record held."""
    return {data.source: data.sha256 for data in record.data if data.version == YOURS and data.sha256 is not None}


def other_content(a: Record, b: Record) -> str:
    """The user's own sources of one name that held something else, in words; empty where there is none."""
    ours = content_of(a)
    theirs = content_of(b)
    different = [source for source in sorted(ours.keys() & theirs.keys()) if ours[source] != theirs[source]]
    return "; ".join(f"{source} held other data" for source in different)


def versions_of(records: Sequence[Record]) -> list[str]:
    """The version of each record's task; with its data, where records that went well have several contents of it.

    What went wrong counts to the first content if it has none of theirs: data that are not there have no content.
    """
    read: dict[int, Content] = {}
    known: dict[tuple[str, str], dict[str, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        # Records of an index share their data, which they keep alive: no two of them have one id.
        if id(record.data) not in read:
            read[id(record.data)] = content_of(record)
        if record.status == "ok":
            for source, digest in read[id(record.data)].items():
                known[record.cell.task, record.cell.task_version][source][digest] = None
    found = []
    for record in records:
        version = record.cell.task_version
        for source, digests in sorted(known[record.cell.task, record.cell.task_version].items()):
            if len(digests) > 1:
                own = read[id(record.data)].get(source)
                digest = own if own in digests else next(iter(digests))
                version += f", {source} {digest[:SHOWN]}"
        found.append(version)
    return found
