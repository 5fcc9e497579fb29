"""What the executor decides, with a gateway that the test speaks for. No Ray here."""

import dataclasses
from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.errors import ExecutorError
from sparsebench.suites.runner.execution.execute import Result, failure, now
from sparsebench.suites.runner.execution.executors.interface import Ended, Event, Notice, Options, Retried, Started
from sparsebench.suites.runner.execution.executors.ray_cluster import executor as module
from sparsebench.suites.runner.execution.executors.ray_cluster.executor import RayExecutor
from sparsebench.suites.runner.execution.executors.ray_cluster.messages import (
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
    Lacks,
    Node,
    Order,
    Report,
    Seen,
    Start,
    Stop,
    Tell,
    Told,
)
from sparsebench.suites.runner.identity.cell import Cell


class Cluster:
    """A gateway whose reports the test writes, and whose orders it reads."""

    def __init__(self, *_: object) -> None:
        self.orders: list[Order] = []
        self.reports: deque[Report] = deque()
        self.closed = 0

    def send(self, order: Order) -> None:
        self.orders.append(order)

    def receive(self, seconds: float) -> list[Report]:
        found = list(self.reports)
        self.reports.clear()
        return found

    def close(self) -> None:
        self.closed += 1

    def commands(self, kind: type) -> list:
        told = [order for order in self.orders if isinstance(order, Tell)]
        return [(order.node, command) for order in told for command in order.commands if isinstance(command, kind)]


class Bench:
    """An executor with its cluster and some cells."""

    def __init__(self, folder: Path, cells: list[Cell]) -> None:
        self.cluster = Cluster()
        self.cells = cells
        self.store = Store(folder).create()
        self.executor = RayExecutor(folder, Options(workers=4), lambda *_: self.cluster)
        self.executor.submit(cells)

    def say(self, *reports: Report) -> list[Event]:
        self.cluster.reports.extend(reports)
        return self.executor.events(0.0)

    def join(self, *names: str, slots: int = 1, gpus: int = 0) -> None:
        """Nodes that agree with everything."""
        nodes = [Node(name, name, slots, gpus) for name in names]
        self.say(Seen(nodes), *[Joined(name) for name in names])
        for name in names:
            digests = [command.kind.digest for node, command in self.cluster.commands(Expect) if node == name]
            self.say(Told(name, [Agrees(digest) for digest in digests]))

    def started(self) -> list[tuple[str, Start]]:
        return self.cluster.commands(Start)

    def result(self, cell: Cell) -> Result:
        return Result(failure(cell, "failed", "as it may end", started=now()))


@pytest.fixture
def make(tmp_path: Path, planned: list[Cell]) -> Callable[..., Bench]:
    return lambda cells=planned: Bench(tmp_path, cells)


def test_cells_go_to_free_slots_and_their_records_are_written_here(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.join("a", "b", slots=1)
    assert [(node, start.cell) for node, start in bench.started()] == [("a", bench.cells[0]), ("b", bench.cells[1])]
    number = bench.started()[0][1].attempt
    assert bench.say(Told("a", [Began(number, "worker 7")])) == [Started(bench.cells[0], "node a, worker 7")]
    (ended,) = bench.say(Told("a", [Done(number, bench.result(bench.cells[0]))]))
    assert isinstance(ended, Ended)
    assert bench.store.ids() == [bench.cells[0].id]
    assert bench.started()[2][0] == "a"


def test_a_lost_node_costs_a_retry_and_then_a_record(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.join("a")
    (event,) = bench.say(Gone("a", "no answer for 30 s"))
    assert event == Retried(bench.cells[0], "lost with node a: no answer for 30 s")
    bench.join("b")
    assert bench.started()[-1] == ("b", Start(1, bench.cells[0]))
    (event,) = bench.say(Gone("b", "died"))
    assert isinstance(event, Ended)
    assert bench.store.read(bench.cells[0].id).reason == "lost with node b: died (and once before)"


def test_what_a_lost_node_says_late_is_dropped(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.join("a")
    late = bench.started()[0][1].attempt
    bench.say(Gone("a", "no answer"))
    bench.join("b")
    assert bench.say(Told("a", [Done(late, bench.result(bench.cells[0]))])) == []
    assert bench.store.ids() == []
    current = bench.started()[-1][1].attempt
    assert len(bench.say(Told("b", [Done(current, bench.result(bench.cells[0]))]))) == 1
    assert bench.say(Told("a", [Done(late, bench.result(bench.cells[0]))])) == []
    assert bench.store.ids() == [bench.cells[0].id]


def test_a_lost_worker_counts_as_the_one_retry(make: Callable[..., Bench]) -> None:
    bench = make(make().cells[:1])
    bench.join("a")
    number = bench.started()[0][1].attempt
    assert bench.say(Told("a", [Again(number, "worker killed")])) == [Retried(bench.cells[0], "worker killed")]
    (event,) = bench.say(Told("a", [Again(number, "worker killed")]))
    assert isinstance(event, Ended)
    assert bench.store.read(bench.cells[0].id).reason == "worker killed (and once before)"
    assert bench.cluster.commands(Stop) == [("a", Stop(number))]


def test_a_node_with_other_code_gets_no_cell(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.say(Seen([Node("a", "a", 1, 0), Node("b", "b", 1, 0)]), Joined("a"))
    kind = bench.cluster.commands(Expect)[0][1].kind
    lines = [line.replace("device cpu", "device tpu") for line in bench.executor._lines[kind.digest]]
    (notice,) = bench.say(Told("a", [Differs(kind.digest, lines)]))
    assert notice == Notice("node a is not used: other code or data than here: device (cpu here, tpu there)")
    assert bench.started() == []
    assert [order.node for order in bench.cluster.orders if isinstance(order, Dismiss)] == ["a"]
    bench.join("b", slots=4)
    assert {node for node, _ in bench.started()} == {"b"}


def test_where_no_node_is_left_the_run_ends(make: Callable[..., Bench]) -> None:
    bench = make()
    with pytest.raises(ExecutorError, match=r"no node can be used: node a: no space left for /scratch"):
        bench.say(Seen([Node("a", "a", 1, 0)]), Joined("a"), Told("a", [Broken("no space left for /scratch")]))


def test_a_full_disk_is_no_fault_of_the_cell(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.join("a", "b")
    (notice,) = bench.say(Told("a", [Broken("no space left")]))
    assert notice == Notice("node a is not used: no space left")
    number = bench.started()[1][1].attempt
    bench.say(Told("b", [Done(number, bench.result(bench.cells[1]))]))
    assert bench.started()[-1] == ("b", Start(2, bench.cells[0]))


def test_data_that_no_node_has_makes_records(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.say(Seen([Node("a", "a", 4, 0)]), Joined("a"))
    first, second = [command.kind for _, command in bench.cluster.commands(Expect)]
    events = bench.say(Told("a", [Lacks(first.digest, "source moses is not there"), Agrees(second.digest)]))
    assert [event.text for event in events if isinstance(event, Notice)] == ["node a: source moses is not there"]
    reasons = {bench.store.read(id_).reason for id_ in bench.store.ids()}
    assert reasons == {"no node can run it: node a: source moses is not there"}
    assert len(bench.store.ids()) == 2
    assert len(bench.started()) == 2


def test_a_cell_for_a_gpu_needs_a_node_with_one(make: Callable[..., Bench]) -> None:
    cells = [dataclasses.replace(make().cells[0], device="cuda")]
    bench = make(cells)
    bench.join("a", "b", gpus=0)
    assert bench.store.read(cells[0].id).reason == "no node can run it: node a: no GPU; node b: no GPU"


def test_cancelled_cells_give_no_event(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.join("a")
    number = bench.started()[0][1].attempt
    bench.executor.cancel([cell.id for cell in bench.cells])
    assert bench.cluster.commands(Stop) == [("a", Stop(number))]
    assert bench.say(Told("a", [Done(number, bench.result(bench.cells[0]))])) == []
    assert bench.store.ids() == []


def test_no_node_for_long_ends_the_run(make: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make()
    assert bench.say() == []
    monkeypatch.setattr(module, "NODES_SECONDS", 0.0)
    with pytest.raises(ExecutorError, match="no node with 1 free CPUs has answered"):
        bench.say()


def test_closing_twice(make: Callable[..., Bench]) -> None:
    bench = make()
    bench.executor.close()
    bench.executor.close()
    assert bench.cluster.closed == 1
