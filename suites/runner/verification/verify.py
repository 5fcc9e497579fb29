"""The command: find the records, run their cells, judge, and say so."""

import dataclasses
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from sparsebench.reports.index.database import Index
from sparsebench.reports.record import Record
from sparsebench.reports.store import Store

from ..execution.execute import failure, now
from ..execution.executors.choice import hold
from ..execution.executors.interface import Ended, Options
from ..identity.cell import Cell
from ..planning.durations import Durations
from ..run import run_cells
from .differences import Differences, differences, threads_of
from .judgement import Judgement, judge
from .lookup import Named
from .rebuild import CellGoneError, cell_of, same_work


@dataclass(frozen=True)
class Verification:
    """A record and what running its cell again gave."""

    named: Named
    judgement: Judgement
    differences: Differences = field(default_factory=Differences)

    @property
    def passed(self) -> bool:
        """Whether the record was reproduced, to the last digit or within its interval."""
        return self.judgement.verdict in ("equal", "within")


def verify(named: Sequence[Named], options: Options, console: Console) -> list[Verification]:
    """Run the cells of these records in a folder of their own and judge them, in their order.

    Each cell runs with as many threads as its record says; `options` says how many workers. Progress goes to `console`.

    Raises:
        StoreError: no place for the results.
        ExecutorError: no cell can run here.
    """
    cells: list[Cell | CellGoneError] = []
    for one in named:
        try:
            cells.append(cell_of(one.record))
        except CellGoneError as error:
            cells.append(error)
    pairs = [(one.record, cell) for one, cell in zip(named, cells, strict=True) if isinstance(cell, Cell)]
    again = _run(pairs, options, console)
    return [_verification(one, cell, again) for one, cell in zip(named, cells, strict=True)]


def _verification(one: Named, cell: Cell | CellGoneError, again: Mapping[str, Record]) -> Verification:
    if isinstance(cell, CellGoneError):
        return Verification(one, Judgement("gone", reason=str(cell)))
    found = again[cell.id]
    return Verification(one, judge(one.record, found, _other_seeds(one)), differences(one.record, cell, found))


def _run(pairs: Sequence[tuple[Record, Cell]], options: Options, console: Console) -> dict[str, Record]:
    """The records that the cells give now, by id. A pair that the plan says cannot run gives its reason at once."""
    by_threads: dict[int, dict[str, Cell]] = defaultdict(dict)
    durations = Durations()
    found: dict[str, Record] = {}
    for record, cell in pairs:
        if cell.reason:
            found[cell.id] = failure(cell, "n/a", cell.reason, started=now())
            continue
        by_threads[threads_of(record)][cell.id] = cell
        durations.add(record.cell, record.times.get("total", 0.0))
    for threads, cells in by_threads.items():
        with tempfile.TemporaryDirectory(prefix="sparsebench-verify-") as folder:
            store = Store(folder).create()
            with_threads = dataclasses.replace(options, threads=threads)
            with hold(store.folder, with_threads, dict) as membership:
                run_cells(list(cells.values()), durations, store.folder, with_threads, membership, console, _unlogged)
            found |= {id_: store.read(id_) for id_ in cells}
    return found


def _unlogged(event: Ended) -> None:
    """No tracker is told of cells that were run to be compared."""


def _other_seeds(named: Named) -> list[Record]:
    """The records of the same row and task in the record's folder."""
    if named.folder is None:
        return []
    cell = named.record.cell
    place = cell.suite, cell.task, cell.label, cell.backbone
    with Index(Store(named.folder).open()) as index:
        near = [entry for entry in index.entries if (entry.suite, entry.task, entry.label, entry.backbone) == place]
        return [
            record for record in index.records(near) if record.id != named.record.id and same_work(record, named.record)
        ]


def to_text(found: Sequence[Verification]) -> str:
    """One line a record, with the details of what is not equal below it, and a line for all."""
    lines = []
    for one in found:
        lines += [_line(one), *(f"    {detail}" for detail in _details(one))]
    passed = sum(one.passed for one in found)
    equal = sum(one.judgement.verdict == "equal" for one in found)
    lines.append(f"{passed} of {len(found)} records reproduced, {equal} of them to the last digit.")
    return "\n".join(lines)


def _line(one: Verification) -> str:
    judgement = one.judgement
    head = f"{judgement.verdict:<7} {one.named.title}"
    if judgement.verdict == "gone":
        return f"{head}: {judgement.reason}"
    return f"{head}: {_outcome(one)}; {_sameness(one.differences)}"


def _outcome(one: Verification) -> str:
    judgement = one.judgement
    record = one.named.record
    if not judgement.scores:
        return judgement.reason or f"{record.status} again, for the same reason"
    main = judgement.scores[0]
    equal = sum(score.verdict == "equal" for score in judgement.scores)
    if equal == len(judgement.scores):
        scores = "score" if equal == 1 else "scores"
        return f"{main.name} {main.now!r}, {equal} {scores} to the last digit"
    return f"{main.name} {main.then!r} then, {main.now!r} now"


def _sameness(found: Differences) -> str:
    fields = dataclasses.asdict(found)
    same = [name for name, sentences in fields.items() if not sentences]
    other = [name for name, sentences in fields.items() if sentences]
    parts = []
    if same:
        parts.append(f"same {', '.join(same)}")
    if other:
        parts.append(f"other {', '.join(other)}")
    return "; ".join(parts)


def _details(one: Verification) -> Iterable[str]:
    for score in one.judgement.scores:
        if score.verdict == "equal":
            continue
        where = "no interval is stated, so that only equality counts"
        if score.basis:
            where = f"{score.verdict} [{score.low:.6g}, {score.high:.6g}] ({score.basis})"
        yield f"{score.name}: {_number(score.then)} then, {_number(score.now)} now; {where}"
    for name, sentences in dataclasses.asdict(one.differences).items():
        for sentence in sentences:
            yield f"{name}: {sentence}"


def _number(value: float | None) -> str:
    return "none" if value is None else repr(value)


def to_json(found: Sequence[Verification]) -> str:
    """The same as JSON: a list with one object a record."""
    content: list[dict[str, Any]] = []
    for one in found:
        record = one.named.record
        content.append(
            {
                "id": record.id,
                "title": one.named.title,
                "status": record.status,
                "passed": one.passed,
                **dataclasses.asdict(one.judgement),
                "differences": dataclasses.asdict(one.differences),
            }
        )
    return json.dumps(content, indent=1)
