"""What runs on a node: an actor that checks code and data, and runs cells by the executor of one machine.

So time limits, lost workers, memory and what cells leave behind are checked by the same code as in a run without
a cluster. Results are written to a folder of the agent, read from there, and given back; the driver writes the
records.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from time import sleep

from sparsebench.data.errors import DataError, reason_of
from sparsebench.data.sources import ensure
from sparsebench.reports.records.store import Store, StoreError

from ....errors import ExecutorError, UsageError
from ....identity.agreement import identity_lines, lines_digest
from ....identity.cell import Cell, forget_weights
from ....identity.weights import fetch_from_hub
from ...execute import Result
from ..interface import Ended, Event, Options, Retried, Started
from ..local.executor import LocalExecutor
from .messages import Again, Agrees, Began, Broken, Command, Differs, Done, Expect, Kind, Lacks, News, Start, Stop
from .scratch import Scratch


class Agent:
    """Runs cells on its node. All its life is calls of `step`, none of which takes long."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._attempts: dict[str, int] = {}
        self._results: _Results | None = None
        self._local: LocalExecutor | None = None
        self._checks = _Checks()

    def step(self, commands: Sequence[Command], seconds: float) -> list[News]:
        """Do what the commands say, run cells for at most so many seconds, and tell what happened."""
        try:
            for command in commands:
                self._obey(command)
            return self._checks.news() + self._run(seconds)
        except (StoreError, ExecutorError, UsageError, OSError) as error:
            self.close()
            return [Broken(reason_of(error))]

    def close(self) -> None:
        """End what runs; afterwards no worker is left."""
        if self._local is not None:
            self._local.close()
            self._local = None
        if self._results is not None:
            self._results.remove()
            self._results = None

    def _obey(self, command: Command) -> None:
        match command:
            case Expect(kind):
                self._checks.add(kind)
            case Start(attempt, cell):
                self._attempts[cell.id] = attempt
                self._executor().submit([cell])
            case Stop(attempt):
                ids = {id_ for id_, number in self._attempts.items() if number == attempt}
                self._executor().cancel(ids)
                for id_ in ids:
                    del self._attempts[id_]

    def _executor(self) -> LocalExecutor:
        if self._local is None or self._results is None:
            self._results = _Results()
            self._local = LocalExecutor(self._results.folder, self._options)
        return self._local

    def _run(self, seconds: float) -> list[News]:
        if not self._attempts:
            self._checks.wait(seconds)
            return self._checks.news()
        found = (self._news(event) for event in self._executor().events(seconds))
        return [news for news in found if news is not None]

    def _news(self, event: Event) -> News | None:
        match event:
            case Started(cell, place):
                return Began(self._attempts[cell.id], place)
            case Retried(cell, reason):
                return Again(self._attempts[cell.id], reason)
            case Ended(cell):
                assert self._results is not None
                return Done(self._attempts.pop(cell.id), self._results.take(cell.id))
        return None


class _Results:
    """A result folder of the agent's own, for as long as its process lives."""

    def __init__(self) -> None:
        self._scratch = Scratch()
        self.folder = self._scratch.folder
        self._store = Store(self.folder).create()

    def take(self, id_: str) -> Result:
        """The result of a cell, which is then no longer in the folder."""
        record = self._store.read(id_)
        examples = self._store.read_examples(id_)
        (self._store.records / f"{id_}.json").unlink()
        (self._store.examples / f"{id_}.json.gz").unlink(missing_ok=True)
        return Result(replace(record, examples=None), examples)

    def remove(self) -> None:
        self._scratch.remove()


class _Checks:
    """Compares kinds of cells with what is here and fetches their data, in a thread, since a fetch may take long."""

    def __init__(self) -> None:
        self._waiting: deque[Kind] = deque()
        self._found: deque[News] = deque()
        self._thread: threading.Thread | None = None

    def add(self, kind: Kind) -> None:
        self._waiting.append(kind)

    def wait(self, seconds: float) -> None:
        """Until all kinds are checked, or for so many seconds."""
        self._start()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(seconds)
        else:
            sleep(seconds)

    def news(self) -> list[News]:
        self._start()
        return [self._found.popleft() for _ in range(len(self._found))]

    def _start(self) -> None:
        if self._waiting and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._work, daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while self._waiting:
            self._found.append(check(self._waiting.popleft()))


def check(kind: Kind) -> News:
    """Whether cells of the kind give the same here as where they were planned; their data is here afterwards."""
    try:
        _fetch(kind.cell)
        lines = identity_lines(kind.cell)
    except UsageError as error:
        return Differs(kind.digest, (), str(error))
    except (DataError, OSError) as error:
        return Lacks(kind.digest, reason_of(error))
    if lines_digest(lines) != kind.digest:
        return Differs(kind.digest, lines)
    return Agrees(kind.digest)


def _fetch(cell: Cell) -> None:
    """Sources and hub names of the cell, verified. Raises `DataError`."""
    if fetch_from_hub(cell.parts.backbones):
        forget_weights()
    for name in cell.sources:
        ensure(name)
