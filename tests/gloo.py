"""Programs of the tests that work in several gloo processes on this machine, forked so that torch is imported once."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_program(module: str, folder: Path, seconds: float) -> str:
    """Run `python -m module folder` in a process of its own; what it wrote to standard error.

    Skips where torch has no gloo.
    """
    from torch import distributed

    if not distributed.is_available() or not distributed.is_gloo_available():
        pytest.skip("this torch has no gloo, which processes on a CPU talk by")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", module, str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stderr


def forked(work: Callable[[], None], **variables: str) -> int:
    """Start `work` in a process of its own, with these environment variables; its number."""
    number = os.fork()
    if number:
        return number
    try:
        from torch import distributed

        os.environ.update(variables)
        work()
        if distributed.is_initialized():
            distributed.destroy_process_group()
        os._exit(0)
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(1)


def together(work: Callable[[], None], of: int, seconds: float = 120) -> list[int | None]:
    """Run `work` in so many processes that know of each other, as `torchrun` would: their exit codes.

    None: the process had not ended after `seconds`, and was killed.
    """
    port = _free_port()
    numbers = []
    for rank in range(of):
        places = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(of), "LOCAL_WORLD_SIZE": str(of)}
        if of == 1:
            places = {}
        numbers.append(forked(work, MASTER_ADDR="127.0.0.1", MASTER_PORT=port, **places))
    end = time.monotonic() + seconds
    return [_ended(number, end) for number in numbers]


def _free_port() -> str:
    """Below the ports that the system gives to whoever connects: nobody takes it before the first process listens."""
    while True:
        port = random.SystemRandom().randrange(15_000, 30_000)
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                continue
        return str(port)


def _ended(number: int, end: float) -> int | None:
    while True:
        done, status = os.waitpid(number, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)
            return None
        time.sleep(0.01)
