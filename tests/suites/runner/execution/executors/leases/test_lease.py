"""One owner at a time, one record a cell: at whatever step an owner stands still, and whatever its successor does."""

import dataclasses
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.execution.executors.leases.lease import (
    Lease,
    LeaseLostError,
    begin_again,
    has_ended,
    publish,
    read_lease,
    take,
    take_over,
)
from sparsebench.suites.runner.execution.executors.leases.runs import Run, RunOverError

from ....cells import record

ID = "00ff"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    found = Run(tmp_path / "leases" / "run-000001")
    found.cells.mkdir(parents=True)
    return found


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path).create()


def private(tmp_path: Path, name: str) -> Store:
    """A process's own store with the record that it made of the cell."""
    found = Store(tmp_path / name).create()
    found.write(record(id=ID, reason=f"made by {name}"), {"made by": [name]})
    return found


def first(run: Run, owner: str = "a") -> Lease:
    lease = take(run, ID, 1, owner, attempt=1)
    assert lease is not None
    return lease


def winner_of(attempt: Callable[[str], Lease | None]) -> Lease:
    """Eight processes try it at once; one of them gets the lease."""
    start = threading.Barrier(8)

    def try_it(name: str) -> Lease | None:
        start.wait()
        return attempt(name)

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(try_it, [f"process{number}" for number in range(8)]))
    (winner,) = [lease for lease in found if lease is not None]
    return winner


def test_a_lease_is_taken_once(run: Run) -> None:
    winner = winner_of(lambda name: take(run, ID, 1, name, attempt=1))
    assert read_lease(run, ID, 1) == winner
    assert [path.name for path in run.cells.iterdir()] == [f"{ID}.1"]


def test_a_lost_lease_is_taken_over_once(run: Run, store: Store) -> None:
    lost = first(run)
    winner = winner_of(lambda name: take_over(run, lost, name, store))
    assert (winner.number, winner.attempt) == (2, 2)
    assert winner.is_held()
    assert not lost.is_held()


def test_the_record_comes_into_the_store_with_its_examples(run: Run, store: Store, tmp_path: Path) -> None:
    lease = first(run)
    publish(run, lease, private(tmp_path, "a"), store)
    assert store.read(ID).reason == "made by a"
    assert store.read_examples(ID) == {"made by": ["a"]}
    assert has_ended(run, ID)
    assert [path.name for path in run.cells.iterdir()] == [f"{ID}.ended"]


def test_who_has_lost_the_lease_writes_nothing(run: Run, store: Store, tmp_path: Path) -> None:
    lost = first(run)
    mine = private(tmp_path, "a")
    assert take_over(run, lost, "b", store) is not None
    with pytest.raises(LeaseLostError):
        publish(run, lost, mine, store)
    with pytest.raises(LeaseLostError):
        begin_again(run, dataclasses.replace(lost, path=run.cells / "gone.1"))
    assert store.ids() == []


STEPS = ("examples on the stage", "record on the stage", "sent", "examples in the store", "record in the store")


def moves(lease: Lease, mine: Store, store: Store) -> list[tuple[Path, Path]]:
    """What publishing does, step by step; `mine / "sent"` stands for the word that the record is on its way."""
    (mine.folder / "sent").touch()
    return [
        (mine.examples / f"{ID}.json.gz", lease.stage / "examples.json.gz"),
        (mine.records / f"{ID}.json", lease.stage / "record.json"),
        (mine.folder / "sent", lease.stage / "sent"),
        (lease.stage / "examples.json.gz", store.examples / f"{ID}.json.gz"),
        (lease.stage / "record.json", store.records / f"{ID}.json"),
    ]


def stop_at(step: int, lease: Lease, mine: Store, store: Store) -> list[tuple[Path, Path]]:
    """The owner comes so far with publishing, and then stands still; gives what is left to do."""
    steps = moves(lease, mine, store)
    for old, new in steps[: step + 1]:
        old.rename(new)
    return steps[step + 1 :]


@pytest.mark.parametrize("step", range(5), ids=STEPS)
def test_the_successor_goes_on_from_where_the_owner_stood_still(
    step: int, run: Run, store: Store, tmp_path: Path
) -> None:
    lost = first(run)
    stop_at(step, lost, private(tmp_path, "a"), store)
    successor = take_over(run, lost, "b", store)
    if step == 0:  # there was no record yet: the cell is run again
        assert successor is not None
        publish(run, successor, private(tmp_path, "b"), store)
    else:
        assert successor is None
    expected = "b" if step == 0 else "a"
    assert store.read(ID).reason == f"made by {expected}"
    assert store.read_examples(ID) == {"made by": [expected]}
    assert has_ended(run, ID)


@pytest.mark.parametrize("step", range(5), ids=STEPS)
def test_an_owner_that_wakes_up_at_any_step_overwrites_nothing(
    step: int, run: Run, store: Store, tmp_path: Path
) -> None:
    lost = first(run)
    left = stop_at(step, lost, private(tmp_path, "a"), store)
    successor = take_over(run, lost, "b", store)
    if successor is not None:
        publish(run, successor, private(tmp_path, "b"), store)
    before = (store.records / f"{ID}.json").read_bytes()
    for old, new in left:
        with pytest.raises(FileNotFoundError):
            old.rename(new)
    assert (store.records / f"{ID}.json").read_bytes() == before


def test_a_successor_that_is_lost_at_once_leaves_the_record_to_the_next(run: Run, store: Store, tmp_path: Path) -> None:
    lost = first(run)
    stop_at(1, lost, private(tmp_path, "a"), store)
    lost.fence()
    second = take(run, ID, 2, "b", attempt=2)  # and here the second one ends
    assert second is not None
    assert take_over(run, second, "c", store) is None
    assert store.read(ID).reason == "made by a"


def test_given_back_is_no_lost_attempt(run: Run, store: Store) -> None:
    lease = first(run)
    lease.release()
    again = take_over(run, lease, "b", store)
    assert again is not None
    assert (again.number, again.attempt) == (2, 1)


def test_who_comes_late_for_a_cell_that_has_ended_gets_no_lease(run: Run, store: Store, tmp_path: Path) -> None:
    publish(run, first(run), private(tmp_path, "a"), store)
    assert take(run, ID, 1, "b", attempt=1) is None
    assert [path.name for path in run.cells.iterdir()] == [f"{ID}.ended"]


def test_attempts_are_counted_in_the_lease(run: Run) -> None:
    begin_again(run, first(run))
    assert json.loads((run.cells / f"{ID}.1" / "owner.json").read_text()) == {"owner": "a", "attempt": 2}


def test_when_the_run_is_over_nothing_can_be_taken_or_published(run: Run, store: Store, tmp_path: Path) -> None:
    lease = first(run)
    run.end()
    with pytest.raises(RunOverError):
        take(run, "0001", 1, "a", attempt=1)
    with pytest.raises(LeaseLostError):
        publish(run, lease, private(tmp_path, "a"), store)
    assert store.ids() == []
