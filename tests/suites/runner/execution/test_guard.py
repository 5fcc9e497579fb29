"""What is looked at between cells that share a process shows a change, and that it was taken back."""

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from sparsebench.suites.runner.execution.guard import state


@contextlib.contextmanager
def default_dtype(folder: Path) -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def numpy_errors(folder: Path) -> Iterator[None]:
    with np.errstate(all="raise"):
        yield


@contextlib.contextmanager
def working_directory(folder: Path) -> Iterator[None]:
    gone = folder / "gone"
    gone.mkdir()
    with contextlib.chdir(gone):
        gone.rmdir()
        yield


@contextlib.contextmanager
def variable(folder: Path) -> Iterator[None]:
    os.environ["LEFT_BY_A_CELL"] = "1"
    yield
    del os.environ["LEFT_BY_A_CELL"]


@contextlib.contextmanager
def thread(folder: Path) -> Iterator[None]:
    done = threading.Event()
    running = threading.Thread(target=done.wait)
    running.start()
    yield
    done.set()
    running.join()


@contextlib.contextmanager
def child(folder: Path) -> Iterator[None]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield
        process.kill()


@pytest.mark.parametrize("change", [default_dtype, numpy_errors, working_directory, variable, thread, child])
def test_a_change_is_seen(change: Callable, tmp_path: Path) -> None:
    before = state()
    with change(tmp_path):
        assert state() != before
    assert state() == before
