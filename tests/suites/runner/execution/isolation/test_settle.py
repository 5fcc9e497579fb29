"""Threads, memory and accelerator of a process."""

import os
import subprocess
import sys

import torch

from sparsebench.models.native.forms import by_rules, is_by_rules
from sparsebench.suites.runner.execution.isolation.settle import as_in_a_worker, thread_environment

SETTLE = """
import os
from sparsebench.suites.runner.execution.isolation.settle import settle
settle(2, 3 << 30, "7")
import torch
try:
    torch.empty(1 << 31, dtype=torch.float32)
except RuntimeError:
    print("bounded", torch.get_num_threads(), os.environ["CUDA_VISIBLE_DEVICES"], os.environ["OMP_NUM_THREADS"])
    print(os.environ["SPARSEBENCH_FORMS"])
"""


def test_what_is_asked_for_holds() -> None:
    free = {name: value for name, value in os.environ.items() if name != "SPARSEBENCH_FORMS"}
    done = subprocess.run([sys.executable, "-c", SETTLE], capture_output=True, text=True, timeout=300, env=free)
    assert done.stdout.split() == ["bounded", "2", "7", "2", "rules"], done.stderr


def test_a_record_is_computed_again_as_its_worker_did() -> None:
    before = torch.get_num_threads()
    with by_rules(False), as_in_a_worker():
        assert torch.get_num_threads() == 1
        assert is_by_rules()
    assert torch.get_num_threads() == before


def test_every_library_is_told() -> None:
    assert set(thread_environment(3).values()) == {"3"}
    assert "OMP_NUM_THREADS" in thread_environment(3)
