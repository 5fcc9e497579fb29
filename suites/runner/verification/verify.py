"""The command: look at the records as they lie there, run their cells, judge, and say so.

First what needs no run: whether a record agrees with its own examples, and whether its folder is the one that its run
left (`sparsebench.reports.records.sums`). A record that contradicts itself is not run.
"""

import dataclasses
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console

from sparsebench.reports.records.index.database import Index
from sparsebench.reports.records.record import Record, RecordError
from sparsebench.reports.records.store import Store

from ..execution.execute import failure, now
from ..execution.executors.choice import hold
from ..execution.executors.interface import Ended, Options
from ..identity.cell import Cell
from ..planning.durations import Durations
from ..prepare import missing_folder
from ..run import run_cells
from .differences import Differences, differences, threads_of
from .judgement import Evidence, Judgement, judge
from .lookup import Named, opened
from .own_examples import Columns, contradiction
from .rebuild import CellGoneError, cell_of, same_work


@dataclass(frozen=True)
class Verification:
    """A record and what running its cell again gave."""

    named: Named
    judgement: Judgement
    differences: Differences = field(default_factory=Differences)
    examples: str = ""
    """Why the record was not compared with its own examples; empty where it was."""

    @property
    def passed(self) -> bool:
        """Whether the record was reproduced, to the last digit or within its interval."""
        return self.judgement.verdict in ("equal", "within")


@dataclass(frozen=True)
class Again:
    """What a cell gave now."""

    record: Record
    examples: Columns | None = None


def verify(named: Sequence[Named], options: Options, console: Console) -> list[Verification]:
    """Run the cells of these records in a folder of their own and judge them, in their order.

    Each cell runs with as many threads as its record says; `options` says how many workers. Progress goes to `console`.

    Raises:
        StoreError: no place for the results.
        ExecutorError: no cell can run here.
    """
    looked_at = [_look_at(one) for one in named]
    cells = [cell for _, cell, _ in looked_at]
    pairs = [(one.record, cell) for one, cell in zip(named, cells, strict=True) if isinstance(cell, Cell)]
    again: dict[str, Again] = {}
    run_again(pairs, options, console, again.__setitem__)
    return [
        _verification(one, columns, cell, again, note)
        for one, (columns, cell, note) in zip(named, looked_at, strict=True)
    ]


def _look_at(one: Named) -> tuple[Columns | None, Cell | Judgement, str]:
    """Its examples; its cell, or what is to be said without running it; why there was nothing to compare it with."""
    columns = None
    note = "not compared with its own examples: "
    if one.record.status != "ok":
        note = ""
    elif one.folder is None:
        note += "it lies in no result folder"
    else:
        try:
            columns = opened(one.folder).read_examples(one.record.id)
        except RecordError as error:
            return None, Judgement("contradiction", reason=str(error)), ""
        note = "" if columns is not None else f"{note}there are none in {one.folder}"
    problem = contradiction(one.record, columns)
    if problem:
        return columns, Judgement("contradiction", reason=problem), ""
    try:
        cell = cell_of(one.record)
    except CellGoneError as error:
        return columns, Judgement("gone", reason=str(error)), note
    needed = missing_folder(cell) if one.record.status == "ok" else ""
    return columns, Judgement("no data", reason=needed) if needed else cell, note


def _verification(
    one: Named, columns: Columns | None, cell: Cell | Judgement, again: Mapping[str, Again], note: str
) -> Verification:
    if isinstance(cell, Judgement):
        return Verification(one, cell, examples=note)
    found = again[cell.id]
    other = differences(one.record, cell, found.record)
    same = not any(dataclasses.astuple(other))
    evidence = Evidence(same, columns, found.examples, _other_seeds(one))
    return Verification(one, judge(one.record, found.record, evidence), other, note)


def run_again(
    pairs: Sequence[tuple[Record, Cell]], options: Options, console: Console, take: Callable[[str, Again], None]
) -> None:
    """Run the cells in a folder of their own, and hand over what each gives, by its id, as soon as it has ended.

    A pair that the plan says cannot run gives its reason at once.
    """
    by_threads: dict[int, dict[str, Cell]] = defaultdict(dict)
    durations = Durations()
    for record, cell in pairs:
        if cell.reason:
            take(cell.id, Again(failure(cell, "n/a", cell.reason, started=now())))
            continue
        by_threads[threads_of(record)][cell.id] = cell
        durations.add(record.cell, record.times.get("total", 0.0), record.training is not None)
    for threads, cells in by_threads.items():
        with tempfile.TemporaryDirectory(prefix="sparsebench-verify-") as folder:
            store = Store(folder).create()

            def ended(event: Ended, store: Store = store) -> None:
                take(event.end.id, Again(store.read(event.end.id), store.read_examples(event.end.id)))

            with_threads = dataclasses.replace(options, threads=threads)
            with hold(store.folder, with_threads, dict) as membership:
                run_cells(list(cells.values()), durations, store.folder, with_threads, membership, console, ended)


def _other_seeds(named: Named) -> list[Record]:
    """The records of the same row and task in the record's folder."""
    if named.folder is None:
        return []
    cell = named.record.cell
    place = cell.suite, cell.task, cell.label, cell.backbone
    with Index(opened(named.folder)) as index:
        near = [entry for entry in index.entries if (entry.suite, entry.task, entry.label, entry.backbone) == place]
        return [
            record for record in index.records(near) if record.id != named.record.id and same_work(record, named.record)
        ]
