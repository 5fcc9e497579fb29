"""What every executor keeps to, whatever runs the cells: one story for each, whose parts are checked one by one."""

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from sparsebench.reports.records.store import Store, StoreError
from sparsebench.suites.runner.discovery import registry
from sparsebench.suites.runner.execution.executors.choice import hold, open_executor
from sparsebench.suites.runner.execution.executors.interface import Ended, Event, Executor, Options, Retried, Started
from sparsebench.suites.runner.execution.executors.leases.description import describe
from sparsebench.suites.runner.identity.cell import Cell
from sparsebench.suites.runner.planning.expansion import cells_of
from sparsebench.suites.runner.planning.profile import load_profile

PLUGIN = Path(__file__).parents[2] / "plugin"
PATIENCE = 240
TRIVIAL = 50
TRIVIAL_SECONDS = 40
"""Generous: a machine that tests other things, too, and executors that look at a folder once a second."""
SECONDS_TO_RUN = 3.0
METHODS = [
    "toy_fine",
    {"name": "toy_fine", "label": "endless", "config": {"nap": 3600.0}},
    "toy_raise",
    "toy_not_finite",
    "toy_memory",
    "toy_crash",
    "toy_hang",
]
EXECUTORS = {
    "local": {},
    "leases": {"lease": 20.0},
    "ray": {},
}


@dataclass
class Story:
    """What was asked of an executor, and what it said."""

    executor: Executor
    store: Store
    cells: dict[str, list[Cell]]
    events: list[Event] = field(default_factory=list)
    without_record: list[Event] = field(default_factory=list)
    trivial_seconds: float = 0.0
    left_over: list[str] = field(default_factory=list)

    def listen(self, until: Callable[[], bool]) -> None:
        """Take events until something is so; at each `Ended`, look whether its record is there."""
        deadline = time.monotonic() + PATIENCE
        while not until():
            assert time.monotonic() < deadline, f"waited in vain: {self.events}"
            for event in self.executor.events(0.5):
                self.events.append(event)
                if isinstance(event, Ended) and event.cell.id not in self.store.ids():
                    self.without_record.append(event)

    def ended(self, cells: list[Cell]) -> bool:
        """Whether all of them have."""
        seen = {event.cell.id for event in self.events if isinstance(event, Ended)}
        return seen.issuperset(cell.id for cell in cells)

    def of(self, label: str, kind: type[Event]) -> list[Event]:
        """The events of one kind on the cells of one row."""
        found = [event for event in self.events if isinstance(event, Started | Retried | Ended)]
        return [event for event in found if isinstance(event, kind) and event.cell.info.label == label]


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Cell]]]:
    """The cells of the toy plug-in by their rows; the plug-in is there for all that this process starts."""
    import yaml

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(PLUGIN)
        patch.setenv("PYTHONPATH", str(PLUGIN))
        patch.setenv("SPARSEBENCH_OFFLINE", "1")
        registry.entries.cache_clear()
        path = tmp_path_factory.mktemp("contract") / "toy.yaml"
        suite = {"seeds": TRIVIAL + 4, "backbones": ["toy_line"], "methods": METHODS, "tasks": ["toy_sum"]}
        path.write_text(yaml.safe_dump({"molecules": suite}))
        found: dict[str, list[Cell]] = {}
        for cell in cells_of(load_profile(str(path))):
            found.setdefault(cell.info.label, []).append(cell)
        yield found
    registry.entries.cache_clear()


def options_of(name: str, workers: int, request: pytest.FixtureRequest) -> Options:
    """The options for an executor; a cluster is only started for the one that needs it."""
    address = None
    if name == "ray":
        address = request.getfixturevalue("ray_address")
    return Options(workers=workers, executor=name, address=address, **EXECUTORS[name])


@pytest.fixture(scope="module", params=EXECUTORS)
def story(
    request: pytest.FixtureRequest, toys: dict[str, list[Cell]], tmp_path_factory: pytest.TempPathFactory
) -> Story:
    """The whole of it, once for each executor; it is closed at the end."""
    options = options_of(request.param, 2, request)
    before = set(psutil.Process().children(recursive=True))
    store = Store(tmp_path_factory.mktemp(request.param)).create()
    everything = [cell for cells in toys.values() for cell in cells]
    with ExitStack() as stack:
        membership = stack.enter_context(hold(store.folder, options, lambda: describe("toy", "exact", everything)))
        executor = stack.enter_context(open_executor(store.folder, options, membership))
        told = Story(executor, store, toys)
        tell(told)
        executor.close()
        told.left_over = processes_beyond(before)
        executor.close()
    return told


def tell(story: Story) -> None:
    """Submit, submit more while that runs, cancel what runs and what waits, and many small cells at the end."""
    fine, endless = story.cells["toy_fine"], story.cells["endless"]
    faulty = [story.cells[name][0] for name in ("toy_raise", "toy_not_finite", "toy_memory", "toy_crash")]
    late = dataclasses.replace(story.cells["toy_hang"][0], timeout=SECONDS_TO_RUN)
    first = [fine[0], endless[0], *faulty]
    story.executor.submit(first)
    story.listen(lambda: bool(story.of("endless", Started)) and bool(story.of("toy_fine", Ended)))
    story.executor.submit([late, endless[1], fine[1]])
    story.executor.cancel([endless[0].id, endless[1].id])
    story.listen(lambda: story.ended([fine[0], fine[1], *faulty, late]))
    start = time.perf_counter()
    trivial = fine[2 : 2 + TRIVIAL]
    story.executor.submit(trivial)
    story.listen(lambda: story.ended(trivial))
    story.trivial_seconds = time.perf_counter() - start


def processes_beyond(known: set[psutil.Process]) -> list[str]:
    """Processes that came since, and have not ended within a moment; not what a cluster keeps running by itself."""
    deadline = time.monotonic() + 10
    while True:
        found = []
        for process in set(psutil.Process().children(recursive=True)) - known:
            try:
                line = " ".join(process.cmdline())
                if process.status() != psutil.STATUS_ZOMBIE and not is_of_cluster(line):
                    found.append(line)
            except psutil.NoSuchProcess:
                continue
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def is_of_cluster(line: str) -> bool:
    """Whether a command line is of a process that pytest or a Ray head keep, whoever uses them."""
    return any(part in line for part in ("resource_tracker", "ray::IDLE", "/ray/", "gcs_server", "raylet"))


FAULTS = [
    ("toy_fine", "ok", None),
    ("toy_raise", "failed", "RuntimeError: the toy broke"),
    ("toy_not_finite", "failed", "nan"),
    ("toy_memory", "oom", "out of memory"),
    ("toy_crash", "failed", "exit code 3"),
    ("toy_hang", "timeout", f"ran longer than {SECONDS_TO_RUN:g} s"),
]


def test_what_every_executor_keeps_to(story: Story, subtests: pytest.Subtests) -> None:
    """One case for each executor, so that no second process tells its story again."""
    for rule in (
        each_cell_ends_once,
        the_record_is_there_before_the_event,
        the_event_says_what_the_record_says,
        what_runs_was_started,
        a_lost_worker_is_retried_once_and_nothing_else_is,
        what_is_cancelled_has_no_record_and_no_further_event,
        small_cells_are_quick,
        nothing_is_left_after_closing,
    ):
        with subtests.test(rule.__name__):
            rule(story)
    for label, status, reason in FAULTS:
        with subtests.test("each fault is a record", label=label):
            a_fault_is_a_record(story, label, status, reason)


def each_cell_ends_once(story: Story) -> None:
    ended = Counter(event.cell.id for event in story.events if isinstance(event, Ended))
    assert set(ended.values()) == {1}
    assert len(ended) == 2 + 4 + 1 + TRIVIAL


def the_record_is_there_before_the_event(story: Story) -> None:
    assert story.without_record == []


def the_event_says_what_the_record_says(story: Story) -> None:
    for event in story.events:
        if isinstance(event, Ended):
            record = story.store.read(event.cell.id)
            assert (event.end.id, event.end.status, event.end.reason) == (record.id, record.status, record.reason)


def what_runs_was_started(story: Story) -> None:
    started = {event.cell.id for event in story.events if isinstance(event, Started)}
    assert story.cells["toy_hang"][0].id in started
    assert story.cells["endless"][0].id in started


def a_fault_is_a_record(story: Story, label: str, status: str, reason: str | None) -> None:
    record = story.store.read(story.cells[label][0].id)
    assert record.status == status
    if reason is None:
        assert record.metrics["mse"].value < 1e-9
        assert story.store.read_examples(record.id)
    else:
        assert reason in (record.reason or "")


def a_lost_worker_is_retried_once_and_nothing_else_is(story: Story) -> None:
    assert [event.cell.info.label for event in story.events if isinstance(event, Retried)] == ["toy_crash"]


def what_is_cancelled_has_no_record_and_no_further_event(story: Story) -> None:
    assert story.of("endless", Ended) == []
    assert story.of("endless", Retried) == []
    assert not {cell.id for cell in story.cells["endless"]} & set(story.store.ids())


def small_cells_are_quick(story: Story) -> None:
    assert story.trivial_seconds < TRIVIAL_SECONDS


def nothing_is_left_after_closing(story: Story) -> None:
    assert story.left_over == []
    assert list(story.store.records.glob(".*")) == []


@pytest.mark.parametrize("name", EXECUTORS)
def test_a_store_that_cannot_be_written_ends_the_run(
    name: str, toys: dict[str, list[Cell]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    options = options_of(name, 1, request)
    store = Store(tmp_path).create()
    cells = toys["toy_fine"][:1]
    with (
        hold(tmp_path, options, lambda: describe("toy", "exact", cells)) as membership,
        open_executor(tmp_path, options, membership) as executor,
    ):
        store.records.rmdir()
        store.records.touch()  # a file of that name: what a worker writes cannot get there
        executor.submit(cells)
        deadline = time.monotonic() + PATIENCE
        with pytest.raises(StoreError, match="cannot be written"):
            while time.monotonic() < deadline:
                executor.events(0.5)
