"""Cells taken by leases from a shared folder, and run in worker processes here."""

from collections.abc import Collection, Sequence
from pathlib import Path
from time import monotonic, sleep

from sparsebench.reports.records.store import Store, StoreError, explain_os_error

from ....identity.cell import Cell
from ...execute import end_of, failure, now
from ..interface import Ended, Event, Executor, ExecutorError, Options, Retried, Started
from ..local.executor import LocalExecutor
from .board import Board
from .lease import Lease, LeaseLostError, begin_again, publish, take, take_over
from .membership import Membership
from .runs import RunOverError

LOOK_SECONDS = 1.0
"""How often to look what other processes did."""
ATTEMPTS = 2
"""So often is a cell begun whose worker or process gets lost."""


class LeaseExecutor(Executor):
    """Runs cells together with the other members of a run; what they end is an event here, too.

    A cell is taken only when a worker here is free for it. Workers write into a folder of this process alone; the
    record gets from there into the result folder only while the lease is held.

    Args:
        folder: the result folder.
        options: `workers` may be 0: then this process only watches.
        membership: this process's place in the run; whoever made it leaves the run, too.
    """

    def __init__(self, folder: Path, options: Options, membership: Membership) -> None:
        self._store = Store(folder)
        self._options = options
        self._membership = membership
        self._open: dict[str, Cell] = {}
        self._before: dict[str, int | None] = {}
        self._events: list[Event] = []
        self._begun_again: set[str] = set()
        self._start()

    def _start(self) -> None:
        """With nothing taken yet, in the run that the membership is of."""
        self._private = Store(self._membership.private).create()
        self._local = LocalExecutor(self._membership.private, self._options)
        self._mine: dict[str, Lease] = {}
        self._board = Board(self._membership)
        self._orphans: dict[str, Lease] = {}
        self._shown: set[tuple[str, int]] = set()
        self._next_look = 0.0

    def submit(self, cells: Sequence[Cell]) -> None:
        """Take cells to run (`Executor.submit`)."""
        for cell in cells:
            self._open[cell.id] = cell
            self._before[cell.id] = self._record_time(cell.id)

    def events(self, seconds: float) -> list[Event]:
        """What became of cells, as it happens (`Executor.events`).

        Raises:
            UsageError: others ended the run, and the next one has another plan.
        """
        try:
            self._advance(seconds)
        except RunOverError:
            self._join_again()
        except (StoreError, ExecutorError):
            if self._membership.run.path.exists():
                raise
            self._join_again()  # the folder that workers write into went with the run
        except OSError as error:
            raise StoreError(explain_os_error(self._store.folder, error)) from error
        found = self._events
        self._events = []
        return found

    def cancel(self, ids: Collection[str]) -> None:
        """Stop the cells of this process (`Executor.cancel`); those in other processes go on there."""
        for id_ in ids:
            self._open.pop(id_, None)
        self._give_up([id_ for id_ in ids if id_ in self._mine])

    def close(self) -> None:
        """End the processes of this one (`Executor.close`); others may take the cells that ran here."""
        self._local.close()
        for lease in self._mine.values():
            lease.release()
        self._mine.clear()

    def _advance(self, seconds: float) -> None:
        if monotonic() >= self._next_look:
            self._look()
            self._next_look = monotonic() + LOOK_SECONDS
        self._take_cells()
        if self._events:
            return
        if self._mine:
            self._take_in(self._local.events(min(seconds, LOOK_SECONDS)))
        else:
            sleep(min(seconds, LOOK_SECONDS))

    def _take_in(self, events: Sequence[Event]) -> None:
        """What happened in the workers here."""
        for event in events:
            if isinstance(event, Ended):
                self._publish(self._mine[event.cell.id], event)
            elif isinstance(event, Retried):
                self._retry(self._mine[event.cell.id], event)
            else:
                self._events.append(event)

    def _publish(self, lease: Lease, event: Ended) -> None:
        del self._mine[lease.id]
        try:
            publish(self._membership.run, lease, self._private, self._store)
        except LeaseLostError:  # whoever has it now runs the cell
            return
        del self._open[lease.id]
        self._events.append(event)

    def _retry(self, lease: Lease, event: Retried) -> None:
        """Once a cell, whether it lost its worker or its whole process."""
        if lease.attempt >= ATTEMPTS:
            self._local.cancel([lease.id])
            self._fail(lease, f"begun {ATTEMPTS} times, and lost each time, at last: {event.reason}")
            return
        try:
            self._mine[lease.id] = begin_again(self._membership.run, lease)
            self._begun_again.add(lease.id)
            self._events.append(event)
        except LeaseLostError:
            self._give_up([lease.id])

    def _fail(self, lease: Lease, reason: str) -> None:
        cell = self._open[lease.id]
        self._mine[lease.id] = lease
        record = self._private.write(failure(cell, "failed", reason, started=now()), None)
        self._publish(lease, Ended(cell, end_of(record)))

    def _give_up(self, ids: Collection[str]) -> None:
        """End these cells here."""
        self._local.cancel(ids)
        for id_ in ids:
            self._mine.pop(id_).release()

    def _look(self) -> None:
        """See what others did, and whether they took something away."""
        self._board.look()
        self._give_up([id_ for id_, lease in self._mine.items() if not lease.is_held()])
        for id_ in self._board.again & self._open.keys() - self._begun_again:
            self._begun_again.add(id_)
            self._events.append(Retried(self._open[id_], "it had lost its worker or its process"))
        for id_ in self._board.ended & self._open.keys():
            self._end_by_record(id_)
        self._orphans = {}
        for lease, owner in self._board.taken(self._open.keys() - self._mine.keys()):
            if owner is None:
                self._orphans[lease.id] = lease
            elif (lease.id, lease.number) not in self._shown:
                self._shown.add((lease.id, lease.number))
                self._events.append(Started(self._open[lease.id], owner.place))

    def _end_by_record(self, id: str) -> None:
        try:
            record = self._store.read(id)
        except KeyError:  # a network file system may show the record later than the word of it
            return
        self._events.append(Ended(self._open.pop(id), end_of(record), elsewhere=True))

    def _take_cells(self) -> None:
        """A cell for each worker that is free."""
        for cell in list(self._open.values()):
            if len(self._mine) >= self._options.workers:
                return
            lease = self._take(cell.id)
            if lease is None:
                continue
            if lease.attempt > ATTEMPTS:
                self._fail(lease, f"begun {ATTEMPTS} times, and the process that ran it was lost each time")
                continue
            self._mine[cell.id] = lease
            self._local.submit([cell])

    def _take(self, id: str) -> Lease | None:
        if id in self._mine or id in self._board.ended:
            return None
        token = self._membership.token
        if id in self._orphans:
            return take_over(self._membership.run, self._orphans.pop(id), token, self._store)
        if id in self._board.newest:
            return None
        self._board.newest[id] = 1  # whoever gets it: it is taken now
        return take(self._membership.run, id, 1, token, attempt=1)

    def _join_again(self) -> None:
        """The run was ended by others, who took this process for lost. What they recorded has ended here, too."""
        self._local.close()
        self._membership.leave()
        self._membership.join()
        self._start()
        for id_ in list(self._open):
            if self._record_time(id_) != self._before[id_]:
                self._end_by_record(id_)

    def _record_time(self, id: str) -> int | None:
        try:
            return (self._store.records / f"{id}.json").stat().st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return None
