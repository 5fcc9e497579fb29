"""One run for each result folder, which waits for the workers of an earlier one and says so."""

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution import locks
from sparsebench.suites.runner.execution.locks import shared_run, sole_run

HOLD = """
import os, sys, time
from pathlib import Path
from sparsebench.suites.runner.execution.locks import hold_as_worker
hold_as_worker(Path(sys.argv[1]))
child = os.fork()
print("holds" if child else "", flush=True)
time.sleep(600)
"""


@contextmanager
def worker(folder: Path) -> Iterator[subprocess.Popen]:
    """A process that holds the folder as a worker does, and has forked a child that lives longer."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        while "holds" not in process.stdout.readline():
            assert process.poll() is None
        yield process
    finally:
        os.killpg(process.pid, 9)
        process.communicate()


def test_a_folder_is_held_by_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        sole_run(tmp_path, print),
        pytest.raises(UsageError, match="another run is writing"),
        sole_run(tmp_path, print),
    ):
        raise AssertionError("the second run got in")
    with sole_run(tmp_path, print):
        assert (tmp_path / "workers.lock").exists()


def test_a_folder_is_shared_by_those_who_share_it(tmp_path: Path) -> None:
    with (
        shared_run(tmp_path, print),
        shared_run(tmp_path, print),
        pytest.raises(UsageError, match="another run is writing"),
        sole_run(tmp_path, print),
    ):
        raise AssertionError("a sole run got in")
    with (
        sole_run(tmp_path, print),
        pytest.raises(UsageError, match="another run is writing"),
        shared_run(tmp_path, print),
    ):
        raise AssertionError("it got in")


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none_here)
    monkeypatch.setattr(fcntl, "lockf", none_here)
    with sole_run(tmp_path, print):
        locks.hold_as_worker(tmp_path)


def test_a_forked_child_of_a_worker_holds_nobody_up(tmp_path: Path) -> None:
    said: list[str] = []
    with worker(tmp_path) as process:
        process.kill()
        process.wait()
        with sole_run(tmp_path, said.append):
            assert said == []


def test_who_waits_says_for_whom_and_gives_up_in_the_end(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(locks, "QUIET_SECONDS", 0)
    monkeypatch.setattr(locks, "MOST_SECONDS", 1)
    said: list[str] = []
    with (
        worker(tmp_path) as process,
        pytest.raises(UsageError, match=f"process {process.pid}.*give the same command again"),
        sole_run(tmp_path, said.append),
    ):
        raise AssertionError("the run got in")
    assert len(said) == 1 and f"process {process.pid}" in said[0]
    with sole_run(tmp_path, said.append):
        assert len(said) == 1


def test_a_worker_whose_folder_is_gone_ends_without_a_word(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        locks.hold_as_worker(tmp_path / "gone")


@pytest.mark.parametrize("name", [locks.RUN_LOCK, locks.WORKERS_LOCK])
def test_a_link_in_the_place_of_a_lock_empties_nothing(tmp_path: Path, name: str) -> None:
    """A result folder may be the work of somebody else."""
    folder = tmp_path / "out"
    folder.mkdir()
    treasure = tmp_path / "treasure"
    treasure.write_text("50 bytes")
    (folder / name).symlink_to(treasure)
    with (
        pytest.raises(UsageError, match=f"{name} is a link, which is not followed: remove it"),
        sole_run(folder, print),
    ):
        pass
    assert treasure.read_text() == "50 bytes"
