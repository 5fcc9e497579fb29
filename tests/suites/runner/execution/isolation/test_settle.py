"""Threads, memory and accelerator of a process."""

import subprocess
import sys

from sparsebench.suites.runner.execution.isolation.settle import thread_environment

SETTLE = """
import os
from sparsebench.suites.runner.execution.isolation.settle import settle
settle(2, 3 << 30, "7")
import torch
try:
    torch.empty(1 << 31, dtype=torch.float32)
except RuntimeError:
    print("bounded", torch.get_num_threads(), os.environ["CUDA_VISIBLE_DEVICES"], os.environ["OMP_NUM_THREADS"])
"""


def test_what_is_asked_for_holds() -> None:
    done = subprocess.run([sys.executable, "-c", SETTLE], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["bounded", "2", "7", "2"], done.stderr


def test_every_library_is_told() -> None:
    assert set(thread_environment(3).values()) == {"3"}
    assert "OMP_NUM_THREADS" in thread_environment(3)
