"""Speed runs: reads the JSON of pytest-benchmark and divides each run by the peer of its group.

What a run is in its group stands in `extra_info["role"]` (`ROLES`), its name for tables in `extra_info["variant"]`.

The runs of this project add `targets`, what was wanted of a figure and what was reached, and `failed`, the tests that
failed: both are said, neither hides anything else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..tables.terminal import plain_table

if TYPE_CHECKING:
    from rich.table import Table


SPEED_FILE = "speed.json"
"""Its name in a result folder."""


class SpeedError(ValueError):
    """The file is not the JSON of pytest-benchmark."""


ROLES = ("ours", "peer", "reference", "floor")
"""What a run is in its group: our module; what a user would take instead; something else to compare with; the least
work that any of them could do. Runs say so in `extra_info["role"]`."""
Fastest = dict[tuple[Any, Any], tuple[float, str]]
"""Seconds and name of the fastest run, by group and role."""


SCATTERS = " ~"
LEGEND = (
    "~: the ratio scatters, its quartiles over the rounds are more than a tenth of it apart. "
    "Times its floor: over the least that the operations, or the bytes of the weights, take at the rates of a matrix "
    "product and of a plain sum in the same run."
)


@dataclass(frozen=True, kw_only=True)
class SpeedLine:
    """One benchmark: seconds per run.

    Of ours, `peer` is the fastest peer of the group, `ratio` its median over ours (above 1, ours is faster) and `floor`
    the median of the group's floor over ours (1 is the best possible). `least` are the seconds that the operations of
    the work, or the bytes that it reads, take at this machine's own rates; `scatters` says that the quartiles of the
    ratio over the rounds are further apart than a tenth of it.
    """

    group: str
    name: str
    role: str
    median: float
    iqr: float
    rounds: int
    peer: str | None = None
    ratio: float | None
    floor: float | None
    met: bool | None = None
    """Whether its figures are as wanted; None where nothing was."""
    least: float | None = None
    scatters: bool = False

    @property
    def times_least(self) -> float | None:
        """How many times the least that the machine allows."""
        return self.median / self.least if self.least else None

    @property
    def mark(self) -> str:
        """Behind a ratio that scatters."""
        return SCATTERS if self.scatters else ""


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
        targets = content.get("targets", [])
        fastest = _fastest(benchmarks)
        met: dict[str, bool] = {}
        for target in targets:
            met[target["test"]] = met.get(target["test"], True) and bool(target["met"])
        lines = [_line(b, fastest, met) for b in benchmarks]
        short = tuple(_short(target) for target in targets if not target["met"])
        failed = tuple(str(name) for name in content.get("failed", []))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise SpeedError(
            f"{path} is not the JSON of pytest-benchmark ({reason}): run `sparsebench speed` again"
        ) from error
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


def to_terminal(report: SpeedReport) -> Table:
    """A row for each run of ours: the fastest peer, how many times as fast ours is, and whether that was wanted."""
    rows = []
    before = None
    for line in report.lines:
        if line.role == "ours":
            ratio = "–", ""
            if line.ratio is not None:
                ratio = f"{line.ratio:.2f}{line.mark}", "green" if line.ratio >= 1 else "red"
            group = "" if line.group == before else line.group
            least = "–" if line.times_least is None else f"{line.times_least:.2f}"
            met = {None: "–", True: "met", False: "missed"}[line.met]
            rows.append([group, line.name, line.peer or "–", ratio, least, met])
            before = line.group
    titles = ("speed cell", "ours", "fastest peer", "times as fast", "times its floor", "target")
    return plain_table(titles, rows, right=titles[3:5], caption=LEGEND)


def _fastest(benchmarks: Sequence[Mapping[str, Any]]) -> Fastest:
    """Of several peers the fastest, so that nobody can choose a slow one to be compared with."""
    found: Fastest = {}
    for one in benchmarks:
        place = one["group"], one["extra_info"].get("role")
        found[place] = min(found.get(place, (math.inf, "")), (float(one["stats"]["median"]), _name(one)))
    return found


def _name(benchmark: Mapping[str, Any]) -> str:
    return str(benchmark["extra_info"].get("variant") or benchmark["name"])


def _line(benchmark: Mapping[str, Any], fastest: Fastest, met: Mapping[str, bool]) -> SpeedLine:
    stats = benchmark["stats"]
    extra = benchmark["extra_info"]
    group = benchmark["group"]
    role = str(extra.get("role", ""))
    median = float(stats["median"])
    theirs, peer = fastest.get((group, "peer"), (None, None)) if role == "ours" else (None, None)
    least_of_all, _ = fastest.get((group, "floor"), (None, None)) if role == "ours" else (None, None)
    return SpeedLine(
        group=group or "other",
        name=_name(benchmark),
        role=role,
        median=median,
        iqr=float(stats["iqr"]),
        rounds=int(stats["rounds"]),
        peer=peer,
        ratio=None if theirs is None else theirs / median,
        floor=None if least_of_all is None else least_of_all / median,
        met=met.get(str(benchmark.get("fullname"))),
        least=extra.get("floor_seconds"),
        scatters=bool(extra.get("scatters")),
    )


def _machine(content: dict[str, Any]) -> str:
    machine = content.get("machine_info", {})
    cpu = machine.get("cpu", {}).get("brand_raw", machine.get("machine", "unknown machine"))
    python = machine.get("python_version")
    if not python:
        return str(cpu)
    return f"{cpu}, Python {python}"
