"""The executor for a Ray cluster: it decides what runs where, and alone writes the records."""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from itertools import count
from pathlib import Path
from time import monotonic

from ....errors import ExecutorError
from ....identity.agreement import differences, identity_lines, kind_of, lines_digest
from ....identity.cell import Cell
from ...execute import Result, end_of, failure, now, write
from ..interface import Ended, Event, Executor, Notice, Options, Retried, Started
from .connection import Gateway
from .messages import (
    Again,
    Agrees,
    Began,
    Broken,
    Differs,
    Dismiss,
    Done,
    Expect,
    Gone,
    Joined,
    Kind,
    Lacks,
    News,
    Node,
    Report,
    Seen,
    Start,
    Stop,
    Tell,
    Told,
)
from .places import Attempt, Place

NODES_SECONDS = 300.0
"""How long a run waits when no node answers: longer than an agent may take to start."""
BARRED_SECONDS = 60.0
"""A node with other code or a full disk is looked at again after so long."""


class RayExecutor(Executor):
    """Runs cells on the nodes of a Ray cluster: that of the address in the options, else one on this machine."""

    def __init__(self, folder: Path, options: Options, connect: Callable[..., Gateway] = Gateway) -> None:
        self._connect = connect
        self._folder = folder
        self._options = options
        self._gateway: Gateway | None = None
        self._waiting: deque[Cell] = deque()
        self._kinds: dict[object, Kind] = {}
        self._lines: dict[str, list[str]] = {}
        self._places: dict[str, Place] = {}
        self._running: dict[int, Attempt] = {}
        self._numbers = count()
        self._retried: set[str] = set()
        self._said: set[str] = set()
        self._seen = monotonic()

    def submit(self, cells: Sequence[Cell]) -> None:
        """Take cells to run (`Executor.submit`)."""
        self._waiting.extend(cells)
        for cell in cells:
            if kind_of(cell) not in self._kinds:
                self._expect(cell)
        if self._gateway is None:
            gpus = any(cell.device != "cpu" for cell in cells)
            self._gateway = self._connect(self._folder, self._options, gpus)

    def events(self, seconds: float) -> list[Event]:
        """What became of cells, as it happens (`Executor.events`)."""
        if self._gateway is None:
            return []
        events: list[Event] = []
        for report in self._gateway.receive(seconds):
            events += self._take(report)
        events += self._give_up_hopeless()
        self._fill()
        self._check_nodes()
        return events

    def cancel(self, ids: Collection[str]) -> None:
        """Stop cells (`Executor.cancel`)."""
        self._waiting = deque(cell for cell in self._waiting if cell.id not in ids)
        for number, attempt in list(self._running.items()):
            if attempt.cell.id in ids:
                self._stop(number)

    def close(self) -> None:
        """End all tasks (`Executor.close`)."""
        if self._gateway is not None:
            self._gateway.close()
            self._gateway = None

    def _expect(self, cell: Cell) -> None:
        lines = identity_lines(cell)
        kind = Kind(lines_digest(lines), cell)
        self._kinds[kind_of(cell)] = kind
        self._lines[kind.digest] = lines
        for place in self._places.values():
            if place.joined:
                self._tell(place.node.id, Expect(kind))

    def _take(self, report: Report) -> list[Event]:
        if isinstance(report, Seen):
            self._see(report.nodes)
        elif report.node in self._places:  # else it comes late: the node has been given up
            return self._take_of_node(report)
        return []

    def _take_of_node(self, report: Joined | Gone | Told) -> list[Event]:
        match report:
            case Joined(id_):
                self._join(id_)
            case Gone(id_, reason):
                return self._lose(id_, reason)
            case Told(id_, news):
                events: list[Event] = []
                for one in news:
                    events += self._hear(id_, one)
                return events
        return []

    def _see(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            if node.id not in self._places:
                self._places[node.id] = Place(node)
        listed = {node.id for node in nodes}
        for id_ in self._places.keys() - listed:
            del self._places[id_]

    def _join(self, id_: str) -> None:
        place = self._places[id_]
        self._places[id_] = Place(place.node, joined=True)
        for kind in self._kinds.values():
            self._tell(id_, Expect(kind))

    def _lose(self, id_: str, reason: str) -> list[Event]:
        """The node's cells wait again, or have a record if that happened to them before."""
        place = self._places[id_]
        place.joined = False
        events: list[Event] = []
        for number, attempt in list(self._running.items()):
            if attempt.node == id_:
                del self._running[number]
                events += self._again(attempt.cell, f"lost with node {place.node.name}: {reason}")
        return events or self._say(f"node {place.node.name}: {reason}")

    def _again(self, cell: Cell, reason: str) -> list[Event]:
        if cell.id in self._retried:
            result = Result(failure(cell, "failed", f"{reason} (and once before)", started=now()))
            return [self._end(cell, result)]
        self._retried.add(cell.id)
        self._waiting.appendleft(cell)
        return [Retried(cell, reason)]

    def _hear(self, id_: str, news: News) -> list[Event]:
        place = self._places[id_]
        match news:
            case Agrees(digest):
                place.agreed.add(digest)
            case Lacks(digest, reason):
                place.lacking[digest] = reason
                return self._say(f"node {place.node.name}: {reason}")
            case Differs(digest, lines, missing):
                what = missing or differences(self._lines[digest], lines)
                return self._bar(place, f"other code or data than here: {what}")
            case Broken(reason):
                return self._bar(place, reason)
            case Began(number, _) | Again(number, _) | Done(number, _) if number in self._running:
                return self._hear_of_attempt(number, news, place)
        return []

    def _hear_of_attempt(self, number: int, news: News, place: Place) -> list[Event]:
        cell = self._running[number].cell
        match news:
            case Began(_, where):
                return [Started(cell, f"node {place.node.name}, {where}")]
            case Again(_, reason) if cell.id not in self._retried:
                self._retried.add(cell.id)
                return [Retried(cell, reason)]
            case Again(_, reason):
                self._stop(number)
                return self._again(cell, reason)
            case Done(_, result):
                del self._running[number]
                return [self._end(cell, result)]
        return []

    def _bar(self, place: Place, reason: str) -> list[Event]:
        """Use the node no more for a while; its cells wait again, through no fault of theirs."""
        place.joined = False
        place.barred = reason
        for number, attempt in list(self._running.items()):
            if attempt.node == place.node.id:
                del self._running[number]
                self._waiting.appendleft(attempt.cell)
        self._order(Dismiss(place.node.id, BARRED_SECONDS))
        return self._say(f"node {place.node.name} is not used: {reason}")

    def _say(self, text: str) -> list[Event]:
        """Each text once."""
        if text in self._said:
            return []
        self._said.add(text)
        return [Notice(text)]

    def _give_up_hopeless(self) -> list[Event]:
        """Records for the waiting cells that no node can ever run: no GPU, or their data cannot be had."""
        hopeless = {}
        for kind in self._kinds.values():
            reasons = self._all_against(kind)
            if reasons:
                hopeless[kind.digest] = f"no node can run it: {'; '.join(reasons)}"
        events: list[Event] = []
        for cell in list(self._waiting) if hopeless else ():
            text = hopeless.get(self._kinds[kind_of(cell)].digest)
            if text is not None:
                self._waiting.remove(cell)
                events.append(self._end(cell, Result(failure(cell, "failed", text, started=now()))))
        return events

    def _all_against(self, kind: Kind) -> list[str]:
        """Why each node will never run cells of the kind; nothing if one may."""
        places = [place for place in self._places.values() if not place.barred]
        reasons = [reason for place in places if (reason := place.why_not(kind)) is not None]
        return reasons if len(reasons) == len(places) else []

    def _fill(self) -> None:
        """A cell for each free slot of each node where it can run."""
        for id_, place in self._places.items():
            free = place.node.slots - sum(attempt.node == id_ for attempt in self._running.values())
            while free > 0 and (cell := self._next(place)) is not None:
                number = next(self._numbers)
                self._running[number] = Attempt(cell, id_)
                self._tell(id_, Start(number, cell))
                free -= 1

    def _next(self, place: Place) -> Cell | None:
        for cell in self._waiting:
            if place.fits(self._kinds[kind_of(cell)]):
                self._waiting.remove(cell)
                return cell
        return None

    def _check_nodes(self) -> None:
        """Raises `ExecutorError` where no node is left for the cells that wait."""
        if self._running or not self._waiting or any(place.joined for place in self._places.values()):
            self._seen = monotonic()
            return
        reasons = [f"node {place.node.name}: {place.barred}" for place in self._places.values() if place.barred]
        if reasons and len(reasons) == len(self._places):
            raise ExecutorError(f"no node can be used: {'; '.join(reasons)}")
        if monotonic() - self._seen > NODES_SECONDS:
            raise ExecutorError(
                f"no node with {self._options.threads} free CPUs has answered for {NODES_SECONDS:g} s: start some with "
                "`ray start --address`, then give the same command again"
            )

    def _stop(self, number: int) -> None:
        attempt = self._running.pop(number)
        self._tell(attempt.node, Stop(number))

    def _end(self, cell: Cell, result: Result) -> Ended:
        return Ended(cell, end_of(write(result, cell, self._folder)))

    def _tell(self, node: str, command: Expect | Start | Stop) -> None:
        self._order(Tell(node, [command]))

    def _order(self, order: Tell | Dismiss) -> None:
        assert self._gateway is not None
        self._gateway.send(order)
