"""Processes that end with their parent, and groups that end as one."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from sparsebench.suites.runner.execution.isolation.process import LINUX, children, how_it_ended, kill_group

LOCKED = """
import os, re
from sparsebench.suites.runner.execution.isolation.process import end_with
parent = os.getpid()
if os.fork() == 0:
    end_with(parent)
    print(os.getpid(), flush=True)
    re.match(r"(a+)+$", "a" * 60 + "b")  # holds the interpreter lock for years
else:
    os.wait()
"""
PATIENCE = 120


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline, f"process {pid} is still there"
            time.sleep(0.02)


@pytest.mark.skipif(not LINUX, reason="only Linux kills a process that holds the interpreter lock with its parent")
def test_a_process_that_holds_the_interpreter_lock_dies_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", LOCKED], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    wait_until_gone(child)


def test_a_group_ends_as_one() -> None:
    leader = subprocess.Popen(
        ["sh", "-c", "sleep 600 & echo $!; wait"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert leader.stdout is not None
    member = int(leader.stdout.readline())
    kill_group(leader.pid)
    assert leader.wait() == -signal.SIGKILL
    leader.stdout.close()
    wait_until_gone(member)
    kill_group(leader.pid)  # nobody is left: nothing happens


def test_children_are_found() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        assert process.pid in children()
        process.kill()
    assert process.pid not in children()


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (3, "worker process ended with exit code 3"),
        (-11, "worker process killed by SIGSEGV"),
        (-9, "worker process killed by SIGKILL (the system kills with SIGKILL when memory runs out)"),
        (-40, "worker process killed by signal 40"),
    ],
)
def test_how_a_process_ended(code: int, text: str) -> None:
    assert how_it_ended(code) == text


def test_the_signals_without_names_are_real() -> None:
    process = subprocess.Popen(["sleep", "600"])
    os.kill(process.pid, 40)
    assert how_it_ended(process.wait()) == "worker process killed by signal 40"
