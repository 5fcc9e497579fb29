"""Who is in a run, who is lost, and who is refused."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution.executors.leases.identity import Process
from sparsebench.suites.runner.execution.executors.leases.membership import Membership, joined
from sparsebench.suites.runner.execution.executors.leases.runs import RunOverError, last_number, new_run

PLAN = {"name": "toy", "reuse": "exact", "count": 1, "cells": "1234", "lines": ["python==3.11", "source a=1"]}
MEMBER = """
import sys
from pathlib import Path
from sparsebench.suites.runner.execution.executors.leases.membership import Membership

Membership(Path(sys.argv[1]), {plan}, {lease}).join()
print("here", flush=True)
sys.stdin.read()
"""


def other_process(folder: Path, lease: float) -> subprocess.Popen:
    """A process that has joined the run and stays."""
    code = MEMBER.format(plan=PLAN, lease=lease)
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "here\n"
    return process


def leases(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "leases").iterdir())


def test_equal_plans_share_a_run_and_the_last_one_ends_it(tmp_path: Path) -> None:
    with joined(tmp_path, PLAN, 30) as first:
        with joined(tmp_path, PLAN, 30) as second:
            assert first.run.path == second.run.path
            assert first.living(second.token, first.now()) == Process.this()
        assert first.living(second.token, first.now()) is None
        assert leases(tmp_path) == ["run-000001"]
    assert leases(tmp_path) == ["over-000001"]
    with joined(tmp_path, PLAN, 30):
        assert leases(tmp_path) == ["over-000001", "run-000002"]
    assert leases(tmp_path) == ["over-000002"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lines": ["python==3.11", "source a=2"]}, "source a"),
        ({"cells": "5678", "count": 7}, "7 cells of toy with --reuse exact here, 1 cell of toy"),
    ],
)
def test_another_plan_is_refused_with_what_differs(tmp_path: Path, change: dict, said: str) -> None:
    with joined(tmp_path, PLAN, 30), pytest.raises(UsageError, match=said), joined(tmp_path, {**PLAN, **change}, 30):
        raise AssertionError("it got in")


def test_the_first_member_says_how_long_a_lease_is(tmp_path: Path) -> None:
    with joined(tmp_path, PLAN, 7), joined(tmp_path, PLAN, 30) as second:
        assert second.lease == 7


def test_a_killed_process_is_lost_at_once_on_its_own_machine(tmp_path: Path) -> None:
    other = other_process(tmp_path, lease=3600)
    with joined(tmp_path, PLAN, 3600) as mine:
        (token,) = [path.name for path in mine.run.members.iterdir() if path.name != mine.token]
        assert mine.living(token, mine.now()) is not None
        other.kill()
        other.communicate()
        assert mine.living(token, mine.now()) is None


def test_a_process_that_stands_still_is_lost_after_its_lease_and_back_when_it_goes_on(tmp_path: Path) -> None:
    other = other_process(tmp_path, lease=1)
    with joined(tmp_path, PLAN, 1) as mine:
        (token,) = [path.name for path in mine.run.members.iterdir() if path.name != mine.token]
        other.send_signal(signal.SIGSTOP)
        wait_until(lambda: mine.living(token, mine.now()) is None)
        other.send_signal(signal.SIGCONT)
        wait_until(lambda: mine.living(token, mine.now()) is not None)
        other.communicate("")


def wait_until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_clock_of_a_machine_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with joined(tmp_path, PLAN, 30) as first:
        monkeypatch.setattr(time, "time", lambda: 1e12)
        with joined(tmp_path, PLAN, 30) as second:
            assert second.run.path == first.run.path
            assert second.living(first.token, second.now()) is not None


def test_the_beats_of_another_machine_alone_say_whether_it_lives(tmp_path: Path) -> None:
    with joined(tmp_path, PLAN, 30) as mine:
        far = mine.run.members / "far"
        far.mkdir()
        Process(host="far", pid=1, kernel="another boot", born=0).write(far / "process.json")
        (far / "beat").touch()
        now = mine.now()
        assert mine.living("far", now) is not None
        os.utime(far / "beat", (now - 31, now - 31))
        assert mine.living("far", now) is None


def test_a_run_whose_processes_are_all_lost_gives_way_to_a_new_one(tmp_path: Path) -> None:
    other = other_process(tmp_path, lease=3600)
    other.kill()
    other.communicate()
    with joined(tmp_path, {**PLAN, "cells": "5678"}, 30):
        assert leases(tmp_path) == ["over-000001", "run-000002"]


def test_a_member_of_a_run_that_is_over_is_told(tmp_path: Path) -> None:
    with joined(tmp_path, PLAN, 30) as mine:
        mine.run.end()
        with pytest.raises(RunOverError):
            mine.now()
    assert leases(tmp_path) == ["over-000001"]


def test_a_sole_run_that_was_taken_over_is_told(tmp_path: Path) -> None:
    with joined(tmp_path, None, 30) as mine:
        mine.check()
        mine.run.end()
        with pytest.raises(UsageError, match="stood still"):
            mine.check()


def test_a_folder_that_was_removed_is_called_that(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with joined(folder, None, 30) as mine:
        shutil.rmtree(folder)
        with pytest.raises(UsageError, match="out was removed while this run wrote into it"):
            mine.check()


def test_who_had_the_folder_alone_leaves_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        with joined(tmp_path, None, 30):
            assert leases(tmp_path) == ["run-000001"]
        assert not (tmp_path / "leases").exists()


def test_numbers_that_others_may_remember_stay(tmp_path: Path) -> None:
    with joined(tmp_path, PLAN, 30):
        pass
    with joined(tmp_path, None, 30):
        assert leases(tmp_path) == ["over-000001", "run-000002"]
    assert leases(tmp_path) == ["over-000002"]


def test_a_sole_run_that_was_taken_over_does_not_take_another_of_its_number_for_its_own(tmp_path: Path) -> None:
    with joined(tmp_path, None, 30) as mine:
        mine.run.end()
        mine.run.forget()
        with joined(tmp_path, None, 30) as other:
            assert other.run.path == mine.run.path and other.run.path.exists()
            other.check()
            with pytest.raises(UsageError, match="stood still"):
                mine.check()


def test_a_number_is_used_once(tmp_path: Path) -> None:
    folder = tmp_path / "leases"
    folder.mkdir()
    with joined(tmp_path, PLAN, 30):
        assert not new_run(folder, 1, "late", {})
    assert not new_run(folder, 1, "later", {})
    assert last_number(folder) == (1, False)


def test_leaving_twice_is_no_harm(tmp_path: Path) -> None:
    membership = Membership(tmp_path, PLAN, 30)
    membership.join()
    membership.leave()
    membership.leave()


def test_what_a_killed_process_left_of_a_run_that_it_was_making_goes_with_the_next_run(tmp_path: Path) -> None:
    draft = tmp_path / "leases" / ".new-killed"
    (draft / "members" / "killed").mkdir(parents=True)
    with joined(tmp_path, PLAN, 30):
        assert leases(tmp_path) == ["run-000001"]


def test_a_run_that_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str, encoding: str) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "leases").mkdir()
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        new_run(tmp_path / "leases", 1, "token", PLAN)
    assert leases(tmp_path) == []
