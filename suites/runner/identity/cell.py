"""The unit of work: a method on a task with a backbone and a seed, identified by what it is and what it runs."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparsebench.data.sources import fingerprint
from sparsebench.reports.record import CellInfo

from ..discovery.registry import Entry, find
from .weights import weights_identity


@dataclass(frozen=True)
class Cell:
    """One unit of work. `key` says what it is, `code` what it runs; `id` names its record."""

    info: CellInfo
    key: str
    code: str
    device: str
    timeout: float
    sources: tuple[str, ...]
    reason: str | None = None
    """Why the pair cannot run ("n/a"), or None."""

    @property
    def id(self) -> str:
        """Name of the record."""
        return record_id(self.key, self.code)

    @property
    def title(self) -> str:
        """One line for people."""
        info = self.info
        return f"{info.suite}/{info.task} {info.label} on {info.backbone} seed {info.seed}"


def digest(content: Any) -> str:
    """16 hex digits of the canonical JSON of `content`."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def record_id(key: str, code: str) -> str:
    """Name of the record of a cell: hash of what it is and of what it runs."""
    return digest([key, code])


def cell_key(info: CellInfo, sources: tuple[str, ...]) -> str:
    """Identity of the work: everything in `info` but the label, and the checksums of data and weights."""
    content = dataclasses.asdict(info)
    del content["label"], content["group"]
    return digest([content, {name: fingerprint(name) for name in sources}, _weights(info.suite, info.backbone)])


@functools.cache
def _weights(suite: str, backbone: str) -> Mapping[str, str]:
    return weights_identity(find("backbone", backbone, suite), backbone)


def cell_entries(info: CellInfo) -> tuple[Entry, Entry, Entry]:
    """The method, the task and the backbone of a cell."""
    return find("method", info.method), find("task", info.task, info.suite), find("backbone", info.backbone, info.suite)


def entry_sources(entries: tuple[Entry, Entry, Entry]) -> tuple[str, ...]:
    """The data sources that a cell of these entries reads."""
    _, task, backbone = entries
    return tuple(sorted({*task.sources, *backbone.sources}))
