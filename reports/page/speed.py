"""Speed runs: reads the JSON of pytest-benchmark and divides each run by the peer of its group.

In each group the peer is the benchmark whose `extra_info` has `"peer": true`. A floor (what the machine could do at
best, in seconds per run) may stand in `extra_info["floor"]`, a name for the table in `extra_info["label"]`.

The runs of this project add `targets`, what was wanted of a figure and what was reached, and `failed`, the tests that
failed: both are said, neither hides anything else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class SpeedError(ValueError):
    """The file is not the JSON of pytest-benchmark."""


ROLES = ("ours", "peer", "reference", "floor")
"""What a run is in its group: our module; what a user would take instead; something else to compare with; the least
work that any of them could do. Runs say so in `extra_info["role"]`."""


@dataclass(frozen=True, kw_only=True)
class SpeedLine:
    """One benchmark: seconds per run.

    Of ours, `ratio` is the median of the fastest peer of the group over ours (above 1, ours is faster) and `floor` the
    median of the group's floor over ours (1 is the best possible).
    """

    group: str
    name: str
    role: str
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
    targets: int = 0
    """How many figures had a target."""
    short: tuple[str, ...] = ()
    """Which of them were not reached, in words."""
    failed: tuple[str, ...] = ()
    """Names of the tests that failed, whose figures are missing."""

    @property
    def shortfalls(self) -> list[str]:
        """One line for what fell short and one for what failed; empty if all is well."""
        lines = []
        if self.short:
            lines.append(f"{len(self.short)} of {self.targets} speed targets not reached: {'; '.join(self.short)}")
        if self.failed:
            lines.append(f"{len(self.failed)} speed tests failed: {'; '.join(self.failed)}")
        return lines


def read_speed(path: Path) -> SpeedReport:
    """Reads the JSON of `pytest --benchmark-json`.

    Raises:
        SpeedError: the file is missing, truncated or something else.
    """
    try:
        content = json.loads(path.read_bytes())
        benchmarks = content["benchmarks"]
        fastest: dict[tuple[str, Any], float] = {}
        # Of several peers the fastest, so that nobody can choose a slow one to be compared with.
        for b in benchmarks:
            place = b["group"], b["extra_info"].get("role")
            fastest[place] = min(fastest.get(place, math.inf), float(b["stats"]["median"]))
        lines = [_line(b, fastest) for b in benchmarks]
        targets = content.get("targets", [])
        short = tuple(_short(target) for target in targets if not target["met"])
        failed = tuple(str(name) for name in content.get("failed", []))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise SpeedError(f"{path} is not the JSON of pytest-benchmark ({reason}): run `make speed` again") from error
    order = {role: number for number, role in enumerate(ROLES)}
    lines.sort(key=lambda line: (line.group, order.get(line.role, len(order))))
    return SpeedReport(_machine(content), tuple(lines), len(targets), short, failed)


def _short(target: Mapping[str, Any]) -> str:
    """ "test_a_layer[8 bits]: 1.57 times as fast as bfloat16, wanted 2 at the least"."""
    test = str(target["test"]).rpartition("::")[2]
    bound = "most" if target["at_most"] else "least"
    said = f"{test}: {target['reached']:.3g} {target['what']}, wanted {target['wanted']:.3g} at the {bound}"
    if target["excuse"]:
        return f"{said} ({target['excuse']})"
    return said


def speed_or_reason(path: Path | None) -> tuple[SpeedReport | None, str | None]:
    """The speed runs, or why there are none; a broken file must not hide the scores."""
    if path is None:
        return None, None
    try:
        return read_speed(path), None
    except SpeedError as error:
        return None, str(error)


def _line(benchmark: dict[str, Any], fastest: Mapping[tuple[str, Any], float]) -> SpeedLine:
    stats = benchmark["stats"]
    extra = benchmark["extra_info"]
    group = benchmark["group"]
    role = str(extra.get("role", ""))
    median = float(stats["median"])
    ratio = None
    floor = None
    if role == "ours":
        if (group, "peer") in fastest:
            ratio = fastest[group, "peer"] / median
        if (group, "floor") in fastest:
            floor = fastest[group, "floor"] / median
    return SpeedLine(
        group=group or "other",
        name=str(extra.get("variant") or benchmark["name"]),
        role=role,
        median=median,
        iqr=float(stats["iqr"]),
        rounds=int(stats["rounds"]),
        ratio=ratio,
        floor=floor,
    )


def _machine(content: dict[str, Any]) -> str:
    machine = content.get("machine_info", {})
    cpu = machine.get("cpu", {}).get("brand_raw", machine.get("machine", "unknown machine"))
    python = machine.get("python_version")
    if not python:
        return str(cpu)
    return f"{cpu}, Python {python}"
