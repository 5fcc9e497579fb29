"""Beats go on while a process lives, and times are those of files."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sparsebench.suites.runner.execution.executors.leases.heartbeat import BEATS_A_LEASE, Heartbeat, last_beat

LEASE = 0.2
LONG_AGO = 1000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "beat"
    found.touch()
    os.utime(found, (LONG_AGO, LONG_AGO))
    return found


@pytest.fixture
def beat(path: Path) -> Iterator[Heartbeat]:
    found = Heartbeat(path, LEASE)
    yield found
    found.stop()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_file_is_renewed_again_and_again(beat: Heartbeat, path: Path) -> None:
    for _ in range(2):
        wait_until(lambda: last_beat(path) > LONG_AGO)
        os.utime(path, (LONG_AGO, LONG_AGO))


def test_a_file_that_is_out_of_reach_for_a_while_is_renewed_afterwards(beat: Heartbeat, path: Path) -> None:
    path.rename(path.with_name("away"))
    time.sleep(3 * LEASE / BEATS_A_LEASE)
    path.with_name("away").rename(path)
    os.utime(path, (LONG_AGO, LONG_AGO))
    wait_until(lambda: last_beat(path) > LONG_AGO)


def test_no_beat_after_the_stop(path: Path) -> None:
    beat = Heartbeat(path, LEASE)
    beat.stop()
    os.utime(path, (LONG_AGO, LONG_AGO))
    time.sleep(3 * LEASE / BEATS_A_LEASE)
    assert last_beat(path) == LONG_AGO


def test_now_is_the_time_of_the_file_and_a_beat(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: LONG_AGO)  # a machine whose clock is wrong
    beat = Heartbeat(path, lease=3600)
    try:
        now = beat.now()
    finally:
        beat.stop()
    assert now == path.stat().st_mtime > LONG_AGO


def test_a_file_that_others_removed_is_told(beat: Heartbeat, path: Path) -> None:
    path.unlink()
    with pytest.raises(FileNotFoundError):
        beat.now()
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        last_beat(path)


def test_the_last_beat_does_not_count_as_one(path: Path) -> None:
    assert last_beat(path) == last_beat(path) == LONG_AGO
