"""From a profile to cells, and what the result folder already holds of them."""

import dataclasses
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sparsebench.reports.record import CellInfo, Record

from .cell import Cell, budget_fields, cell_key, load_budget, load_method, load_task
from .fingerprint import code_hash
from .profile import Profile, Row, SuitePlan, TaskRow
from .registry import find, suite

State = Literal["done", "missing", "stale", "failed", "n/a"]
Reuse = Literal["missing", "always", "never", "only"]


def expand(profile: Profile) -> list[Cell]:
    """All cells of a profile, those of one row, backbone and seed side by side. Raises `UsageError`."""
    return [cell for plan in profile.plans for cell in _cells(plan)]


def _cells(plan: SuitePlan) -> Iterator[Cell]:
    for row in plan.methods:
        for backbone in row.backbones or plan.backbones:
            tasks = [task for task in plan.tasks if not task.rows or row.label in task.rows]
            per_task = [list(_seeds(plan, row, backbone, task)) for task in tasks]
            for seed in range(plan.seeds):
                yield from (cell for cells in per_task for cell in cells if cell.info.seed == seed)


def _seeds(plan: SuitePlan, row: Row, backbone: str, task_row: TaskRow) -> Iterator[Cell]:
    about = suite(plan.suite)
    entries = (
        find("method", row.name),
        find("task", task_row.name, plan.suite),
        find("backbone", backbone, plan.suite),
    )
    method, task = load_method(entries[0], row.config), load_task(entries[1])
    sources = tuple(sorted({*entries[1].sources, *entries[2].sources}))
    known = entries[2].backbone(backbone)
    reason = method.unsupported(type(task), known) or task.unsupported(known)
    code = code_hash(entries, about.libraries)
    several = method.stochastic or task.draws or entries[2].constant("RANDOM_WEIGHTS", False)
    seeds = task_row.seeds or plan.seeds
    for seed in range(seeds if several and not reason else 1):
        info = CellInfo(
            suite=plan.suite,
            suite_version=about.version,
            task=task_row.name,
            task_version=task.version,
            group=task.group,
            method=row.name,
            label=row.label,
            config=dataclasses.asdict(method),
            backbone=backbone,
            seed=seed,
            budget=budget_fields(load_budget(plan.budget, task_row.budget)),
            dtype=plan.dtype,
        )
        yield Cell(info, cell_key(info, sources), code, plan.timeout, sources, reason)


@dataclass(frozen=True)
class Planned:
    """A cell and its state in the result folder."""

    cell: Cell
    state: State


def compare(cells: Iterable[Cell], records: Sequence[Record]) -> list[Planned]:
    """The state of each cell: `stale` if only other code ever ran it, `failed` if it ended without a score."""
    status = {record.id: record.status for record in records}
    keys = {record.key for record in records}
    return [Planned(cell, _state(cell, status, keys)) for cell in cells]


def _state(cell: Cell, status: Mapping[str, str], keys: set[str]) -> State:
    if cell.reason:
        return "n/a"
    if cell.id in status:
        return {"ok": "done", "n/a": "n/a"}.get(status[cell.id], "failed")  # type: ignore[return-value]
    return "stale" if cell.key in keys else "missing"


def to_run(planned: Iterable[Planned], reuse: Reuse) -> list[Cell]:
    """The cells to run: without a score from this very code (missing), without any record (always), all, or none."""
    states = {
        "missing": ("missing", "stale", "failed"),
        "always": ("missing",),
        "never": ("missing", "stale", "failed", "done"),
        "only": (),
    }[reuse]
    return [entry.cell for entry in planned if entry.state in states]


def count_states(planned: Iterable[Planned]) -> dict[State, int]:
    """How many cells are in each state."""
    return dict(Counter(entry.state for entry in planned))


class Durations:
    """Expected seconds of a cell, from cells that have already run: the nearest kin with a figure decides."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._seconds: dict[tuple[str, ...], list[float]] = {}
        for record in records:
            if record.status == "ok":
                self.add(record.cell, record.times.get("total", 0.0))

    def add(self, info: CellInfo, seconds: float) -> None:
        """Learn from one finished cell."""
        for kin in self._kin(info):
            self._seconds.setdefault(kin, []).append(seconds)

    def expect(self, info: CellInfo) -> float | None:
        """Median seconds of the nearest kin, None if nothing is known."""
        for kin in self._kin(info):
            if kin in self._seconds:
                return statistics.median(self._seconds[kin])
        return None

    def remaining(self, cells: Iterable[Cell], workers: int) -> float | None:
        """Expected wall seconds for `cells` on so many workers, None if nothing is known."""
        known = [self.expect(cell.info) for cell in cells]
        figures = [seconds for seconds in known if seconds is not None]
        if not figures:
            return None if known else 0.0
        return sum(figures) * len(known) / len(figures) / workers

    @staticmethod
    def _kin(info: CellInfo) -> Iterator[tuple[str, ...]]:
        yield info.suite, info.task, info.label, info.backbone
        yield info.suite, info.task, info.backbone
        yield info.suite, info.label
        yield (info.suite,)
