"""Each thing that a cell can leave behind is named, and what it put back is not."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from sparsebench.suites.runner.execution.guard import left_behind, settings


@contextlib.contextmanager
def default_dtype(folder: Path) -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def gradients_off(folder: Path) -> Iterator[None]:
    with torch.no_grad():
        yield


@contextlib.contextmanager
def inference(folder: Path) -> Iterator[None]:
    with torch.inference_mode():
        yield


@contextlib.contextmanager
def autocast(folder: Path) -> Iterator[None]:
    with torch.autocast("cpu", torch.bfloat16):
        yield


@contextlib.contextmanager
def threads(folder: Path) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    yield
    torch.set_num_threads(before)


@contextlib.contextmanager
def deterministic(folder: Path) -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def precision(folder: Path) -> Iterator[None]:
    products = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    products.fp32_precision = "bf16"
    yield
    products.fp32_precision = "none"


@contextlib.contextmanager
def denormals(folder: Path) -> Iterator[None]:
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)


@contextlib.contextmanager
def module_hook(folder: Path) -> Iterator[None]:
    hook = torch.nn.modules.module.register_module_forward_hook(lambda *_: None)
    yield
    hook.remove()


@contextlib.contextmanager
def numpy_errors(folder: Path) -> Iterator[None]:
    with np.errstate(all="raise"):
        yield


@contextlib.contextmanager
def working_directory(folder: Path) -> Iterator[None]:
    with contextlib.chdir(folder):
        yield


@contextlib.contextmanager
def variable(folder: Path) -> Iterator[None]:
    os.environ["LEFT_BY_A_CELL"] = "secret"
    yield
    del os.environ["LEFT_BY_A_CELL"]


@contextlib.contextmanager
def module_path(folder: Path) -> Iterator[None]:
    sys.path.append(str(folder))
    yield
    sys.path.remove(str(folder))


@contextlib.contextmanager
def thread(folder: Path) -> Iterator[None]:
    done = threading.Event()
    running = threading.Thread(target=done.wait, name="still there")
    running.start()
    yield
    done.set()
    running.join()


@contextlib.contextmanager
def child(folder: Path) -> Iterator[None]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield
        process.kill()


@contextlib.contextmanager
def timer(folder: Path) -> Iterator[None]:
    signal.setitimer(signal.ITIMER_REAL, 600)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.fixture(autouse=True)
def no_timer_of_the_test_run() -> Iterator[None]:
    """A limit on the time of tests may be a timer itself."""
    left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.setitimer(signal.ITIMER_REAL, left)


@pytest.mark.parametrize(
    ("leak", "name"),
    [
        (default_dtype, "default dtype torch.float64 (was torch.float32)"),
        (gradients_off, "gradients False"),
        (inference, "inference mode True"),
        (autocast, "autocast cpu"),
        (threads, "threads of torch"),
        (deterministic, "deterministic algorithms"),
        (precision, "precision of float32"),
        (denormals, "denormal numbers flushed to zero"),
        (module_hook, "hooks of all modules 1"),
        (numpy_errors, "errors of numpy"),
        (working_directory, "working directory"),
        (variable, "environment variable LEFT_BY_A_CELL"),
        (module_path, "module path"),
        (thread, "thread still there"),
        (child, "child process"),
        (timer, "timer"),
    ],
)
def test_what_is_left_behind_is_named(leak: Callable, name: str, tmp_path: Path) -> None:
    before = settings()
    with leak(tmp_path):
        lines = left_behind(before, settings())
    assert any(line.startswith(name) for line in lines), lines
    assert not any("secret" in line for line in lines)
    assert left_behind(before, settings()) == []


def test_a_variable_that_is_gone_is_left_behind_too(monkeypatch) -> None:
    monkeypatch.setenv("WAS_THERE", "yes")
    before = settings()
    monkeypatch.delenv("WAS_THERE")
    assert left_behind(before, settings()) == ["environment variable WAS_THERE"]


def test_a_child_that_has_ended_but_was_not_waited_for_is_none(tmp_path: Path) -> None:
    before = settings()
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert left_behind(before, settings()) == []
    process.wait()
