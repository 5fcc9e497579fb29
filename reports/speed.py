"""Speed runs: reads the JSON of pytest-benchmark and divides each run by the peer of its group.

In each group the peer is the benchmark whose `extra_info` has `"peer": true`. A floor (what the machine could do at
best, in seconds per run) may stand in `extra_info["floor"]`, a name for the table in `extra_info["label"]`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class SpeedError(ValueError):
    """The file is not the JSON of pytest-benchmark."""


@dataclass(frozen=True, kw_only=True)
class SpeedLine:
    """One benchmark: seconds per run; `ratio` is the peer's median over ours, so above 1 we are faster."""

    group: str
    name: str
    peer: bool
    median: float
    iqr: float
    rounds: int
    ratio: float | None
    floor: float | None


@dataclass(frozen=True)
class SpeedReport:
    """All speed runs of one file, and the machine they ran on."""

    machine: str
    lines: tuple[SpeedLine, ...]


def read_speed(path: Path) -> SpeedReport:
    """Reads the JSON of `pytest --benchmark-json`.

    Raises:
        SpeedError: the file is missing, truncated or something else.
    """
    try:
        content = json.loads(path.read_bytes())
        benchmarks = content["benchmarks"]
        medians = {b["group"]: b["stats"]["median"] for b in benchmarks if b["extra_info"].get("peer")}
        lines = tuple(_line(b, medians.get(b["group"])) for b in benchmarks)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise SpeedError(f"{path} is not the JSON of pytest-benchmark ({reason}): run `make speed` again") from error
    return SpeedReport(_machine(content), tuple(sorted(lines, key=lambda line: (line.group, not line.peer))))


def _line(benchmark: dict[str, Any], peer: float | None) -> SpeedLine:
    stats, extra = benchmark["stats"], benchmark["extra_info"]
    is_peer = bool(extra.get("peer"))
    return SpeedLine(
        group=benchmark["group"] or "other",
        name=str(extra.get("label") or benchmark["name"]),
        peer=is_peer,
        median=float(stats["median"]),
        iqr=float(stats["iqr"]),
        rounds=int(stats["rounds"]),
        ratio=None if peer is None or is_peer else peer / float(stats["median"]),
        floor=float(extra["floor"]) if "floor" in extra else None,
    )


def _machine(content: dict[str, Any]) -> str:
    machine = content.get("machine_info", {})
    cpu = machine.get("cpu", {}).get("brand_raw", machine.get("machine", "unknown machine"))
    python = machine.get("python_version")
    return f"{cpu}, Python {python}" if python else str(cpu)
