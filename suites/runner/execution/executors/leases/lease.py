"""The lease on a cell: taken by one process, taken over from a lost one, and the only way of a record into the store.

A lease is a folder `ID.N`, N counting from 1 for each cell of a run. Who wants the cell makes the folder of the next
number, whole, by one rename. In it is the folder `stage-OWNER`: the record goes onto the stage first, and from there to
its place. Who takes a lease over renames the stage first. So a process that stood still, wakes up and does not know yet
that it has lost its lease, cannot publish any more, at whatever step it wakes: the place that it takes the record from
is gone. The stage has the owner's name because the number alone can come back: a process that has not seen yet that the
cell has ended, and all its leases were removed, may make `ID.1` for a moment, and that is no stage for anybody else.

Whatever was on the stage when it was renamed tells the successor how far its predecessor came:

- a record: it is whole, the predecessor was about to publish it, so the successor publishes it;
- the file `sent` but no record: it is published, the predecessor had only not yet said so;
- nothing: the cell must be run again, unless `ID.ended` is there. It is asked for after the look at the stage, since a
  predecessor that wakes up says that the cell has ended first and removes the stage then.

`test_interleavings.py` shows that this holds: there several processes do these steps in random order.
"""

import contextlib
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from sparsebench.reports.records.files import sync_folder
from sparsebench.reports.records.store import Store

from .runs import Run, RunOverError, rename_whole

OWNER = "owner.json"
STAGE = "stage-"
RECORD = "record.json"
EXAMPLES = "examples.json.gz"
SENT = "sent"
LOST = "lost"
FREE = "free"
ENDED = ".ended"
AGAIN = ".again"


class LeaseLostError(Exception):
    """Another process has taken the lease over."""


@dataclass(frozen=True)
class Lease:
    """The right to publish a cell's record. `attempt` counts how often the cell was begun, from 1."""

    id: str
    number: int
    owner: str
    attempt: int
    path: Path

    @property
    def stage(self) -> Path:
        """There while the lease is held."""
        return self.path / f"{STAGE}{self.owner}"

    def is_held(self) -> bool:
        """Whether nobody has taken it over, and its owner has not given it back."""
        return self.stage.is_dir()

    def fence(self) -> None:
        """Take it from its owner, who is lost. Of many who try, one succeeds, and that is enough for all."""
        _rename_if_there(self.stage, self.path / LOST)

    def release(self) -> None:
        """Give it back unused: the cell's attempt does not count."""
        _rename_if_there(self.stage, self.path / FREE)


def read_lease(run: Run, id: str, number: int) -> Lease | None:
    """The lease of that number; None if it is not there."""
    path = run.cells / f"{id}.{number}"
    try:
        content = json.loads((path / OWNER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Lease(id, number, content["owner"], content["attempt"], path)


def take(run: Run, id: str, number: int, owner: str, attempt: int) -> Lease | None:
    """Take the lease of that number; None if another process was quicker, or the cell has come to its end.

    Raises `RunOverError`.
    """
    lease = Lease(id, number, owner, attempt, run.cells / f"{id}.{number}")
    draft = run.cells / f".{id}.{owner}"
    try:
        draft.mkdir()
        (draft / lease.stage.name).mkdir()
        _write_owner(draft, lease)
        if not rename_whole(draft, lease.path):
            return None
    except FileNotFoundError:
        raise RunOverError from None
    if has_ended(run, id):  # had just ended, else the name had not been free
        shutil.rmtree(lease.path, ignore_errors=True)
        return None
    return lease


def begin_again(run: Run, lease: Lease) -> Lease:
    """The same lease for a further attempt. Raises `LeaseLostError`."""
    again = replace(lease, attempt=lease.attempt + 1)
    try:
        _write_owner(lease.path, again)
        _mark(run, lease.id, AGAIN).touch()
    except FileNotFoundError:
        raise LeaseLostError from None
    return again


def take_over(run: Run, previous: Lease, owner: str, store: Store) -> Lease | None:
    """The next lease after one whose owner is lost or has given it back, for running the cell again.

    None if another process was quicker, or if the cell has come to its end: what predecessors had begun to publish is
    published. Raises `RunOverError`.
    """
    previous.fence()
    known = read_lease(run, previous.id, previous.number)
    if known is None or known.owner != previous.owner:  # the cell has ended, and the number is another's for a moment
        return None
    attempt = known.attempt
    if (known.path / LOST).is_dir():
        attempt += 1
    lease = take(run, known.id, known.number + 1, owner, attempt)
    if lease is None or _publish_leftover(run, lease, store):
        return None
    if has_ended(run, known.id):  # after `take` had asked, and what it left over is removed
        shutil.rmtree(lease.path, ignore_errors=True)
        return None
    if attempt > known.attempt:
        _mark(run, lease.id, AGAIN).touch()
    return lease


def publish(run: Run, lease: Lease, private: Store, store: Store) -> None:
    """Bring a record from this process's own store into the common one.

    Raises:
        LeaseLostError: another process has the lease now; nothing was written.
        OSError: the common store cannot be written.
    """
    try:
        _rename_if_there(private.examples / f"{lease.id}.json.gz", lease.stage / EXAMPLES)
        (private.records / f"{lease.id}.json").rename(lease.stage / RECORD)
        _send(lease.stage, lease.id, store)
    except FileNotFoundError:
        if lease.is_held():  # then it is the store that is not there
            raise
        raise LeaseLostError from None
    _end(run, lease)


def has_ended(run: Run, id: str) -> bool:
    """Whether the cell has come to its end in this run."""
    return _mark(run, id, ENDED).exists()


def _mark(run: Run, id: str, what: str) -> Path:
    return run.cells / f"{id}{what}"


def _publish_leftover(run: Run, lease: Lease, store: Store) -> bool:
    """Finish what a predecessor had begun to publish; whether there was such a one.

    Two may do this at the same time: it is one file, which only one of them can move.
    """
    for number in range(lease.number - 1, 0, -1):
        for left in (run.cells / f"{lease.id}.{number}" / name for name in (LOST, FREE)):
            if (left / RECORD).exists():
                with contextlib.suppress(FileNotFoundError):
                    _send(left, lease.id, store)
            elif not (left / SENT).exists():
                continue
            _end(run, lease)
            return True
    return False


def _send(stage: Path, id: str, store: Store) -> None:
    (stage / SENT).touch()
    _rename_if_there(stage / EXAMPLES, store.examples / f"{id}.json.gz")
    (stage / RECORD).rename(store.records / f"{id}.json")
    sync_folder(store.records)


def _end(run: Run, lease: Lease) -> None:
    """Say that the cell has come to its end; its leases are of no more use."""
    with contextlib.suppress(FileNotFoundError):  # the run is over: nobody asks any more
        _mark(run, lease.id, ENDED).touch()
    for number in range(1, lease.number + 1):
        shutil.rmtree(run.cells / f"{lease.id}.{number}", ignore_errors=True)


def _write_owner(folder: Path, lease: Lease) -> None:
    draft = folder / f".{OWNER}"
    draft.write_text(json.dumps({"owner": lease.owner, "attempt": lease.attempt}), encoding="utf-8")
    draft.replace(folder / OWNER)


def _rename_if_there(path: Path, new: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.rename(new)
