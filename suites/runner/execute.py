"""Run one cell in this process and write its record. Whatever the cell does, its record says how it ended."""

import functools
import importlib
import random
import traceback as tracebacks
import warnings
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from sparsebench.data.sources import source
from sparsebench.models.anatomy import UnknownAnatomy
from sparsebench.reports.record import CellInfo, DataInfo, Record, RecordError
from sparsebench.reports.store import Store

from ..contracts.budget import Budget
from ..contracts.context import Context
from ..contracts.method import NotApplicable
from ..contracts.seeds import derive_seed
from ..contracts.task import Outcome
from .cell import Cell, cell_entries, load_method, load_task
from .environment import environment
from .registry import Entry

MEMORY_MESSAGES = ("can't allocate memory", "out of memory", "std::bad_alloc", "cannot allocate memory")
KEPT_WARNINGS = 20


@dataclass(frozen=True)
class Ended:
    """How a cell ended, small enough to send between processes."""

    id: str
    status: str
    reason: str | None
    seconds: float
    score: str = ""


def execute(cell: Cell, folder: Path) -> Ended:
    """Run `cell`, write its record into the result folder, and say how it ended. Raises only `StoreError`."""
    started, clock = now(), perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            outcome = _run(cell)
            record = _success(cell, outcome, started)
            examples = {name: list(values) for name, values in outcome.examples.items()} or None
        except Exception as error:  # a cell may fail in any way; the record keeps how
            record, examples = failure(cell, *_explain(error), started=started, trace=tracebacks.format_exc()), None
    seconds = perf_counter() - clock
    record = replace(record, times={**record.times, "total": seconds}, warnings=_lines(caught))
    try:
        Store(folder).write(record, examples)
    except RecordError as error:
        record = failure(cell, "failed", str(error), started=started, seconds=seconds)
        Store(folder).write(record, None)
    return ended(record)


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _run(cell: Cell) -> Outcome:
    import numpy as np
    import torch

    from ..contracts.costs import reset_peak_rss

    info = cell.info
    method_entry, task_entry, backbone_entry = cell_entries(info)
    seed = global_seed(info)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    reset_peak_rss()
    context = Context(
        suite=info.suite,
        task=info.task,
        seed=info.seed,
        budget=Budget(**info.budget),
        dtype=getattr(torch, info.dtype),
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
    )
    method = load_method(method_entry, info.config)
    return load_task(task_entry).run(method, backbone_loader(backbone_entry, info.backbone), context)


def global_seed(info: CellInfo) -> int:
    """What the global generators (dropout, libraries) start from; the same for every method of a task and seed."""
    return derive_seed(info.suite, info.task, info.seed, "global")


def backbone_loader(entry: Entry, name: str) -> functools.partial[Any]:
    """The backbone's own `load`, with the part of `name` behind the colon as its argument."""
    argument = name.partition(":")[2] or None
    return functools.partial(importlib.import_module(entry.module).load, argument=argument)


def _success(cell: Cell, outcome: Outcome, started: str) -> Record:
    return Record(
        **_common(cell, started),
        status="ok",
        metrics=dict(outcome.metrics),
        main_metric=outcome.main_metric,
        costs=outcome.costs,
        times=dict(outcome.times),
        curves={name: [(float(x), float(y)) for x, y in points] for name, points in outcome.curves.items()},
        details=dict(outcome.details),
    )


def failure(
    cell: Cell, status: Any, reason: str, *, started: str, trace: str | None = None, seconds: float = 0.0
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
        "data": [
            DataInfo(source=s.name, version=s.version, sha256=s.fingerprint, licence=s.licence)
            for s in map(source, cell.sources)
        ],
        "environment": environment(),
        "seeds": {"replicate": info.seed, "global": global_seed(info)},
        "started": started,
        "finished": now(),
    }


def _explain(error: Exception) -> tuple[str, str]:
    """Status and one-line reason of an exception."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, NotApplicable | UnknownAnatomy):
        return "n/a", text[:300]
    if isinstance(error, MemoryError) or any(part in text.lower() for part in MEMORY_MESSAGES):
        return "oom", f"out of memory: {text}"[:300]
    return "failed", f"{type(error).__name__}: {text}"[:300]


def _lines(caught: list[warnings.WarningMessage]) -> list[str]:
    lines = dict.fromkeys(f"{w.category.__name__}: {' '.join(str(w.message).split())}"[:300] for w in caught)
    return list(lines)[:KEPT_WARNINGS]


def ended(record: Record) -> Ended:
    """What a record says of its end."""
    score = ""
    if record.status == "ok" and record.main_metric is not None:
        score = f"{record.main_metric} {record.metrics[record.main_metric].value:.4g}"
    return Ended(record.id, record.status, record.reason, record.times.get("total", 0.0), score)
