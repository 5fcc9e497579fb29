"""A pool of worker processes: a cell that crashes or runs out of time ends its worker, not the run.

A worker runs one cell and ends, unless small cells share workers (`sharing.py`). Each worker has a pipe of its own and
is the head of a process group, so that killing one, at whatever moment, harms no other and leaves nothing behind.
"""

import contextlib
import itertools
import math
import selectors
from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic

from sparsebench.reports.records.record import Status
from sparsebench.reports.records.store import Store, StoreError

from ....identity.cell import Cell
from ...execute import End, end_of, failure
from ...isolation.forkserver import Exited, ForkServer
from ...isolation.preload import kind_of, one_of_each
from ...isolation.process import LINUX, how_it_ended, kill_group
from ...isolation.settle import thread_environment
from ...placement import accelerators, default_memory
from ..interface import Ended, Event, Executor, ExecutorError, Options, Retried, Started
from .sharing import Sharing
from .worker import Message, Settings, Work, preparation, work
from .workers import Attempt, Verdict, Worker, record_identity

START_ATTEMPTS = 3
START_SECONDS = 600
"""For a worker to come up, and for the imports of a cell: generous, since machines can be busy."""
END_SECONDS = 30
LEAVE_SECONDS = 2
SERVER_GONE = "the process that starts workers was killed"
FOREIGN = "a process that the cell had started spoke for its worker"


class LocalExecutor(Executor):
    """Worker processes on this machine; each writes the record of its cell into the result folder itself.

    So a cell that has ended keeps its record, even if the run is killed in the same moment.

    Raises `UsageError` for an accelerator that there is not.
    """

    def __init__(self, folder: Path, options: Options) -> None:
        self._folder = folder.resolve()  # a cell may change the working directory
        self._options = options
        self._waiting: deque[Cell] = deque()
        self._lost: dict[str, str] = {}
        """Cells that have lost a worker, and how."""
        self._workers: dict[int, Worker] = {}
        self._found: list[Started | Retried | Ended] = []
        self._attempts = itertools.count()
        self._failed_starts = 0
        self._server: ForkServer | None = None
        # Kept from wait to wait: building it anew each time is most of what a small cell costs the run.
        self._ready = selectors.PollSelector()
        self._devices = accelerators(options.device)
        self._sharing = Sharing(Store(self._folder), options.share_workers)

    def submit(self, cells: Sequence[Cell]) -> None:
        """Take cells to run (`Executor.submit`)."""
        self._waiting.extend(cells)

    def events(self, seconds: float) -> list[Event]:
        """What became of cells, as it happens (`Executor.events`)."""
        until = monotonic() + seconds
        self._advance(seconds)
        while not self._found and (self._workers or self._waiting) and monotonic() < until:
            self._advance(until - monotonic())
        found: list[Event] = [*self._found]
        self._found.clear()
        return found

    def cancel(self, ids: Collection[str]) -> None:
        """Stop cells (`Executor.cancel`). Raises `ExecutorError` where a worker cannot be ended."""
        self._waiting = deque(cell for cell in self._waiting if cell.id not in ids)
        for id_ in ids:
            self._lost.pop(id_, None)
        hit = [one for one in self._workers.values() if one.attempt is not None and one.attempt.cell.id in ids]
        for worker in hit:
            self._end(worker, Verdict("cancelled"))
        until = monotonic() + END_SECONDS
        while any(worker.number in self._workers for worker in hit):
            if monotonic() > until:
                raise ExecutorError(f"a worker did not end within {END_SECONDS} s after it was killed")
            self._listen(1.0)
        self._found = [event for event in self._found if event.cell.id not in ids]

    def close(self) -> None:
        """End all processes (`Executor.close`)."""
        self._waiting.clear()
        self._let_go()
        if self._server is not None:
            self._close_server()
        for worker in self._workers.values():
            self._forget_pipe(worker)
            worker.pipe.close()
        self._workers.clear()

    def _let_go(self) -> None:
        """Workers that do nothing may end by themselves, so that libraries in them give back what they hold."""
        for worker in self._workers.values():
            if worker.is_idle:
                self._dismiss(worker)
        until = monotonic() + LEAVE_SECONDS
        with contextlib.suppress(StoreError, ExecutorError):  # of a cell that ends in this moment: nobody waits for it
            while any(worker.leaving for worker in self._workers.values()) and monotonic() < until:
                self._listen(until - monotonic())

    def _dismiss(self, worker: Worker) -> None:
        self._forget_pipe(worker)
        worker.pipe.close()  # which is what tells it
        self._see_off(worker)

    def _see_off(self, worker: Worker) -> None:
        worker.leaving = True
        worker.deadline = monotonic() + END_SECONDS

    def _advance(self, seconds: float) -> None:
        self._hire()
        self._hand_out()
        self._listen(0 if self._found else seconds)
        self._end_the_late()

    def _hire(self) -> None:
        """As many workers as there is work for."""
        busy = sum(worker.attempt is not None for worker in self._workers.values())
        wanted = min(self._options.workers, len(self._waiting) + busy)
        while sum(not worker.leaving for worker in self._workers.values()) < wanted:
            if self._server is None:
                self._server = self._start_server()
            device = self._free_device()
            settings = Settings(
                folder=self._folder,
                threads=self._options.threads,
                memory=self._memory(),
                device=device,
            )
            try:
                number, pipe = self._server.fork(settings)
            except OSError:
                self._lose_server()
                self._count_failed_start(SERVER_GONE)
                return
            worker = Worker(number, pipe, device, monotonic() + START_SECONDS)
            self._workers[number] = worker
            self._ready.register(pipe, selectors.EVENT_READ, worker)

    def _start_server(self) -> ForkServer:
        cells = one_of_each(cell.info for cell in self._waiting)
        if self._devices or not LINUX:
            # A driver that an import has touched cannot be used after a fork, and macOS' libraries cannot either:
            # there each worker does its own imports.
            cells = []
        server = ForkServer(thread_environment(self._options.threads), preparation(self._folder, cells), work)
        self._ready.register(server.control, selectors.EVENT_READ)
        return server

    def _close_server(self) -> None:
        assert self._server is not None
        self._ready.unregister(self._server.control)
        self._server.close()
        self._server = None

    def _memory(self) -> int | None:
        """The bound on a worker: drivers of accelerators map more than they use, so there is none by default there."""
        if self._options.memory is None and not self._devices:
            return default_memory(self._options.workers)
        return self._options.memory

    def _free_device(self) -> str | None:
        """The accelerator with the fewest workers."""
        taken = Counter(worker.device for worker in self._workers.values())
        return min(self._devices, key=lambda device: taken[device], default=None)

    def _hand_out(self) -> None:
        """A cell for each worker that is idle."""
        for worker in self._workers.values():
            if self._waiting and worker.is_idle:
                if worker.shared and not self._sharing.is_open_to(self._waiting[0]):
                    self._dismiss(worker)
                else:
                    self._give(worker, self._waiting.popleft())

    def _give(self, worker: Worker, cell: Cell) -> None:
        attempt = Attempt(cell, next(self._attempts), record_identity(self._folder, cell.id), follows=worker.shared)
        worker.attempt = attempt
        worker.shared = self._sharing.is_open_to(cell)
        worker.deadline = monotonic() + START_SECONDS
        known = kind_of(cell.info) in worker.kinds
        with contextlib.suppress(OSError):  # it just died: `_listen` hears of that next
            worker.pipe.send(Work(cell, attempt.number, known, worker.shared))
        if known:
            self._begin(worker, attempt)

    def _listen(self, seconds: float) -> None:
        """Wait for something to happen, but for no deadline longer, and take it in."""
        if self._server is None:
            return
        deadline = min((worker.deadline for worker in self._workers.values()), default=math.inf)
        for key, _ in self._ready.select(max(0.0, min(seconds, deadline - monotonic()))):
            if key.data is None:
                self._hear_server()
            elif key.data.is_open:
                self._hear(key.data)

    def _hear_server(self) -> None:
        assert self._server is not None
        try:
            news = self._server.news()
        except EOFError:
            self._lose_server()
            return
        for exited in news:
            self._bury(exited, how_it_ended(exited.code))

    def _lose_server(self) -> None:
        """It is gone, and its workers with it, since they die with their parent."""
        self._close_server()
        for worker in list(self._workers.values()):
            if worker.process is not None:
                kill_group(worker.process)
            self._bury(Exited(worker.number, -1), SERVER_GONE)

    def _hear(self, worker: Worker) -> None:
        """Take one message of a worker whose pipe is ready."""
        try:
            message = worker.pipe.recv()
        except (EOFError, OSError):  # it has ended, as the server is about to say
            self._forget_pipe(worker)
            return
        except Exception:  # two processes wrote at once: what came is no message, and may raise anything
            self._end(worker, Verdict("lost", FOREIGN))
            return
        if isinstance(message, Message) and worker.verdict is None:
            self._take(worker, message)

    def _forget_pipe(self, worker: Worker) -> None:
        if worker.is_open:
            worker.is_open = False
            self._ready.unregister(worker.pipe)

    def _take(self, worker: Worker, message: Message) -> None:
        if message.kind == "ready" and worker.process is None:
            worker.process = message.process
            worker.deadline = math.inf
            self._failed_starts = 0
            return
        attempt = worker.attempt
        if attempt is None or (message.process, message.attempt) != (worker.process, attempt.number):
            self._end(worker, Verdict("lost", FOREIGN))
        elif message.kind == "begun":
            self._begin(worker, attempt)
        else:
            worker.attempt = None
            worker.deadline = math.inf
            if message.leaving:
                self._see_off(worker)
            if isinstance(message.content, StoreError):
                raise message.content
            if isinstance(message.content, str):
                self._fail(attempt, "failed", message.content, 0.0)
            else:
                self._come_to_an_end(attempt, message.content)

    def _come_to_an_end(self, attempt: Attempt, end: End) -> None:
        cell = attempt.cell
        if self._sharing.wants_again(attempt, end):
            self._lost.pop(cell.id, None)
            self._waiting.appendleft(cell)
        else:
            self._finish(cell, self._sharing.judged(cell, end))

    def _begin(self, worker: Worker, attempt: Attempt) -> None:
        """The clock of its cell runs."""
        attempt.begun = True
        worker.kinds.add(kind_of(attempt.cell.info))
        worker.deadline = monotonic() + attempt.cell.timeout
        self._found.append(Started(attempt.cell, f"worker {worker.process}"))

    def _end_the_late(self) -> None:
        for worker in list(self._workers.values()):
            if not worker.is_late:
                continue
            if worker.process is None:
                raise ExecutorError(f"no worker came up within {START_SECONDS} s")
            if worker.leaving:
                self._end(worker, Verdict("cancelled"))
                continue
            assert worker.attempt is not None
            reason = f"its imports took longer than {START_SECONDS} s"
            if worker.attempt.begun:
                reason = f"ran longer than {worker.attempt.cell.timeout:g} s"
            self._end(worker, Verdict("timeout", reason))

    def _end(self, worker: Worker, verdict: Verdict) -> None:
        worker.verdict = verdict
        worker.deadline = math.inf
        if self._server is not None:
            self._server.end(worker.number)

    def _bury(self, exited: Exited, how: str) -> None:
        """A worker has ended: its last messages, and then what that means for its cell."""
        worker = self._workers[exited.number]
        while worker.is_open and worker.verdict is None and worker.pipe.poll():
            self._hear(worker)
        del self._workers[exited.number]
        self._forget_pipe(worker)
        worker.pipe.close()
        if worker.process is None:
            self._count_failed_start(how)
        if worker.attempt is not None:
            self._close_attempt(worker.attempt, worker.verdict or Verdict("lost", how))

    def _count_failed_start(self, how: str) -> None:
        self._failed_starts += 1
        if self._failed_starts >= START_ATTEMPTS:
            raise ExecutorError(f"{START_ATTEMPTS} workers in a row died while starting: {how}")

    def _close_attempt(self, attempt: Attempt, verdict: Verdict) -> None:
        cell = attempt.cell
        if verdict.kind == "cancelled":
            return
        if record_identity(self._folder, cell.id) not in (None, attempt.record_before):
            self._come_to_an_end(attempt, end_of(Store(self._folder).read(cell.id)))  # written before the worker ended
        elif verdict.kind == "timeout":
            self._fail(attempt, "timeout", verdict.reason, cell.timeout)
        elif cell.id in self._lost:
            ways = dict.fromkeys([self._lost[cell.id], verdict.reason])
            self._fail(attempt, "failed", f"lost its worker twice: {', then '.join(ways)}", 0.0)
        else:
            self._lost[cell.id] = verdict.reason
            self._waiting.appendleft(cell)
            self._found.append(Retried(cell, verdict.reason))

    def _fail(self, attempt: Attempt, status: Status, reason: str, seconds: float) -> None:
        """Write the record that the worker could not write."""
        record = failure(attempt.cell, status, reason, started=attempt.started, seconds=seconds)
        record = replace(record, environment={**record.environment, "threads": self._options.threads})
        self._finish(attempt.cell, end_of(Store(self._folder).write(record)))

    def _finish(self, cell: Cell, end: End) -> None:
        self._lost.pop(cell.id, None)
        self._found.append(Ended(cell, end))
