"""Run one cell in this process and write its record. Whatever the cell does, its record says how it ended."""

import os
import shutil
import signal
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from sparsebench.data.cache.ledger import Reads, reading
from sparsebench.models.anatomy import used_describers
from sparsebench.models.registry import forget_used, used_modules
from sparsebench.reports.records.record import Record, RecordError, Status
from sparsebench.reports.records.store import Store

from ...contracts.task import Outcome
from ..discovery.registry import Entry
from ..identity.cell import Cell
from ..identity.fingerprint import costs_hash, covered, source_tree
from .assembly import score_cell
from .environment import environment
from .explanation import explain, trace_of, warning_lines
from .inputs import data_read, declared, refuse_undeclared, verify_weights
from .opened import only_named_files
from .scoring import global_seed

CHECKPOINTS = "checkpoints"
"""Folder of the result folder with what cells keep while they train; each cell's part goes when the cell ends."""


class UncoveredCodeError(RuntimeError):
    """A cell ran code that its code hash does not cover."""


@dataclass(frozen=True)
class End:
    """How a cell ended, small enough to send between processes."""

    id: str
    status: str
    reason: str | None
    seconds: float
    score: str = ""
    trained: bool = True


@dataclass(frozen=True)
class Result:
    """A record, and the per-example outcomes that go beside it.

    A process that is `spent` must run no further cell: this one ran out of memory in it, or meant to end it.
    """

    record: Record
    examples: dict[str, list[Any]] | None = None
    spent: bool = False


def execute(cell: Cell, folder: Path) -> End:
    """Run `cell` in this process, write its record into the result folder, and say how it ended.

    Raises only `StoreError`.
    """
    result = run_cell(cell, checkpoints_of(cell, folder))
    return end_of(write(result, cell, folder))


def checkpoints_of(cell: Cell, folder: Path) -> Path | None:
    """Where the cell's trainings keep checkpoints for the case that it is killed; None if it keeps none."""
    return folder.resolve() / CHECKPOINTS / cell.id if cell.checkpoints else None


def run_cell(cell: Cell, checkpoints: Path | None) -> Result:
    """Run `cell` in this process; whatever it does, its record says how it ended. Writes nothing but checkpoints.

    A process that the cell forked and that comes back here is ended at once.
    """
    process = os.getpid()
    started = now()
    clock = perf_counter()
    with warnings.catch_warnings(record=True) as caught, reading() as reads:
        warnings.simplefilter("default")
        result = _attempt(cell, checkpoints, started, reads)
        if os.getpid() != process:
            os._exit(0)
    times = {**result.record.times, "total": perf_counter() - clock}
    data = data_read(cell, reads.files())
    record = replace(result.record, data=data, times=times, warnings=warning_lines(caught))
    return replace(result, record=record)


def _attempt(cell: Cell, checkpoints: Path | None, started: str, reads: Reads) -> Result:
    try:
        outcome = _run(cell, checkpoints)
        refuse_undeclared(cell, reads.files())
        examples = {name: list(values) for name, values in outcome.examples.items()}
        return Result(_success(cell, outcome, started), examples or None)
    except BaseException as error:  # a cell may fail in any way, by SystemExit too; the record keeps how
        if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            raise  # Ctrl-C of the user; where that signal is ignored, it is the cell that raised this
        record = failure(cell, *explain(error), started=started, trace=trace_of(error))
        return Result(record, spent=record.status == "oom" or not isinstance(error, Exception))


def write(result: Result, cell: Cell, folder: Path) -> Record:
    """Write what a cell gave, or that it cannot be written as JSON; returns what was written. Raises `StoreError`.

    The cell has come to its end: what it kept while it trained goes, unless it has a score and is to keep that.
    """
    record = result.record
    try:
        written = Store(folder).write(record, result.examples)
    except RecordError as error:
        seconds = record.times["total"]
        record = failure(cell, "failed", str(error), started=record.started, seconds=seconds)
        written = Store(folder).write(record, None)
    kept = folder / CHECKPOINTS / cell.id
    stays = cell.checkpoints == "keep" and written.status == "ok"
    if kept.exists() and not stays:
        shutil.rmtree(kept)
    return written


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _run(cell: Cell, checkpoints: Path | None) -> Outcome:
    verify_weights(cell)
    forget_used()
    with used_describers() as used, only_named_files(cell, checkpoints):
        outcome = score_cell(cell.info, cell.device, checkpoints)
    verify_weights(cell)  # they may have changed between the check and the loading
    _check_describers(used, cell.parts.entries)
    _check_brought(cell.parts.entries)
    return outcome


def _check_describers(used: set[str], entries: tuple[Entry, ...]) -> None:
    """A describer that the code hash does not cover would make the record outlive changes of that describer."""
    names = {module.name for module in covered(entries, source_tree())}
    files = [entry.path.name for entry in entries if entry.kind == "backbone"]
    for name in sorted(used - names):
        raise UncoveredCodeError(
            f"the describer {name} was used, which the hash of this cell's code does not cover: "
            f"name it in DESCRIBERS in {' or '.join(files)}"
        )


def _check_brought(entries: tuple[Entry, ...]) -> None:
    """The same of routers, splits and criteria of other packages."""
    names = {module.name for module in covered(entries, source_tree())}
    for name in sorted(used_modules() - names):
        raise UncoveredCodeError(
            f"{name} was used, which the hash of this cell's code does not cover: let an option of the method name it, "
            "or import that module in the method's file"
        )


def _success(cell: Cell, outcome: Outcome, started: str) -> Record:
    common = _common(cell, started)
    if outcome.split is not None:
        common["seeds"] |= {"split_rows": outcome.split.rows, "split_test": outcome.split.test}
    return Record(
        **common,
        costs_code=costs_hash(cell.parts.entries),
        status="ok",
        metrics=dict(outcome.metrics),
        main_metric=outcome.main_metric,
        costs=outcome.costs,
        training=outcome.training,
        times=dict(outcome.times),
        curves={name: [(float(x), float(y)) for x, y in points] for name, points in outcome.curves.items()},
        details=dict(outcome.details),
    )


def failure(
    cell: Cell, status: Status, reason: str, *, started: str, trace: str | None = None, seconds: float = 0.0
) -> Record:
    """The record of a cell that gave no score."""
    return Record(**_common(cell, started), status=status, reason=reason, traceback=trace, times={"total": seconds})


def _common(cell: Cell, started: str) -> dict[str, Any]:
    info = cell.info
    return {
        "id": cell.id,
        "key": cell.key,
        "code": cell.code,
        "cell": info,
        "data": declared(cell),
        "environment": {**environment(), "device": cell.device},
        "seeds": {
            "replicate": info.seed,
            "global": global_seed(info),
            "planned": cell.planned_seeds,
            "stochastic": int(cell.stochastic),
        },
        "started": started,
        "finished": now(),
    }


def end_of(record: Record) -> End:
    """What a record says of its end."""
    score = ""
    if record.status == "ok" and record.main_metric is not None:
        score = f"{record.main_metric} {record.metrics[record.main_metric].value:.4g}"
    seconds = record.times.get("total", 0.0)
    return End(record.id, record.status, record.reason, seconds, score, record.training is not None)


def write_not_applicable(cells: Sequence[Cell], known: Collection[str], store: Store) -> dict[str, End]:
    """Pairs that cannot run are records, too: the table shows their reason."""
    ends = {}
    for cell in cells:
        if cell.reason and cell.id not in known:
            ends[cell.id] = end_of(store.write(failure(cell, "n/a", cell.reason, started=now()), None))
    return ends
