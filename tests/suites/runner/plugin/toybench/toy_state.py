"""Add four numbers, in a way that shows what other cells left behind in the process."""

import functools
import gc
import json
import locale
import logging
import os
import random
import resource
import signal
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.reports.records.record import Metric
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.metrics import Scores
from sparsebench.suites.contracts.task import CostCall, LoadBackbone, Setup, Task

OWN = Path("/proc/self")


@functools.cache
def labels() -> Tensor:
    """Kept for all cells of the process, and open to changes, as a plug-in of somebody else may do it."""
    return torch.arange(1.0, 17.0)


class ToyState(Task):
    """Mean of what the model gives through functions that others may have patched; the details name the state."""

    version = "1"
    group = "toy"
    sources = ()

    def build(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """Inputs of shape (16, 4) and the backbone; the state is what the method finds."""
        self._state = state(context)
        self._inputs = torch.randn(16, 4, generator=context.task_generator("inputs"))
        return Setup(model=load_backbone(context.generator("backbone")), data=None, context=context)

    def evaluate(self, subject: nn.Module, context: Context) -> Scores:
        """Outputs with draws of the global generators added."""
        with torch.no_grad():
            outputs = F.gelu(subject(self._inputs)[:, 0]).double() + labels() * (torch.rand(()) + random.random())
        value = outputs.mean().item() + float(np.mean([1.0, 2.0])) + np.random.rand()
        metric = Metric(value=value, stderr=None, n=16, higher_is_better=False, chance=None, unit="")
        return Scores("mean", {"mean": metric}, {"outputs": outputs.tolist()}, {"state": self._state})

    def cost_call(self, subject: nn.Module, context: Context) -> CostCall | None:
        """Nothing to measure."""
        return None


def state(context: Context) -> dict[str, Any]:
    """What a cell may have changed of its process, and the next one would find."""
    return {
        "patched": [value.__module__ for value in (time.sleep, json.dumps, torch.randn, np.mean, F.gelu)],
        "draws": torch.randn(2, generator=context.task_generator("draws")).tolist(),
        "gelu": [F.gelu(torch.tensor([0.5])).item(), nn.GELU()(torch.tensor([0.25])).item()],
        "float": float("1.5"),
        "third": str(torch.tensor(1.0) / 3),
        "modes": [torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")],
        "threads": [torch.get_num_threads(), threading.active_count(), len(list(OWN.glob("task/*")))],
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "least": float(np.finfo(np.float64).smallest_subnormal * np.float64(1.0)),
        "hooks": len(nn.modules.module._global_forward_hooks),
        "numpy": np.geterr(),
        "processor": [sorted(os.sched_getaffinity(0)), os.getpriority(os.PRIO_PROCESS, 0)],
        "limits": [resource.getrlimit(name) for name in (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE)],
        "umask": _umask(),
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGUSR1, signal.SIGXFSZ)],
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "output": sys.stdout is None,
        "many handles": len(list(OWN.glob("fd/*"))) > 100,
        "children": _children(),
        "variables": sorted(os.environ.items()),
        "directory": str(Path.cwd()),
        "path": list(sys.path),
        "warnings": str(warnings.filters),
        "locale": locale.setlocale(locale.LC_ALL),
        "logging": [logging.getLogger().level, logging.root.manager.disable],
        "recursion": sys.getrecursionlimit(),
        "collector": gc.isenabled(),
        "labels": labels().tolist(),
    }


def _umask() -> int:
    found = os.umask(0)
    os.umask(found)
    return found


def _children() -> str:
    return (OWN / "task" / str(os.getpid()) / "children").read_text()
