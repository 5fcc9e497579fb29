"""What a cell leaves behind in its process: settings that are global, and things that go on after it.

Looked at before and after each cell. Where something differs, the record names it and the process takes no further
cell, so that no other cell's score can depend on it. Settings of Python, numpy and torch that change what is computed
are compared; so are threads, child processes, timers, the working directory and the environment.
"""

import contextlib
import gc
import locale
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .isolation.process import children

HARMLESS_VARIABLES: Mapping[str, str] = {
    "TORCHINDUCTOR_CACHE_DIR": "torch sets it when it imports its compiler: where compiled code is kept",
}
"""Variables that libraries set on first use, and why they change nothing."""

Settings = Mapping[str, Any]


def settings() -> Settings:
    """Everything that is compared, by a name for people."""
    return {name: read() for name, read in _READERS.items()}


def left_behind(before: Settings, after: Settings) -> list[str]:
    """What differs, one line each: "default dtype torch.float64 (was torch.float32)", "thread Thread-3"."""
    lines = []
    for name, old in before.items():
        new = after[name]
        if isinstance(new, _Many):
            lines += [f"{name} {one}" for one in new.beyond(old)]
        elif old != new:
            lines.append(f"{name} {new} (was {old})"[:300])
    return lines


class _Many(dict[str, Any]):
    """Things of one kind by name, told apart by a value that may be secret."""

    def beyond(self, old: "_Many") -> list[str]:
        """Names that are new, have another value, or are gone; what is gone of threads and processes has ended."""
        names = [*self, *(name for name in old if name not in self and old[name] is not None)]
        return sorted(name for name in names if self.get(name) != old.get(name, ...))


def _threads() -> _Many:
    """Python's threads."""
    return _Many({f"{thread.name} ({thread.native_id})": None for thread in threading.enumerate()})


def _environment() -> _Many:
    return _Many({name: value for name, value in os.environ.items() if name not in HARMLESS_VARIABLES})


def _child_processes() -> _Many:
    """Child processes that have not ended."""
    import psutil

    found = _Many()
    for pid in children():
        with contextlib.suppress(psutil.NoSuchProcess):  # it ends in this moment
            child = psutil.Process(pid)
            if child.status() != psutil.STATUS_ZOMBIE:
                found[f"{pid} ({' '.join(child.cmdline())[:100]})"] = None
    return found


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return "a folder that is gone"


def _autocast() -> str:
    on = [kind for kind in ("cpu", "cuda") if torch.is_autocast_enabled(kind)]
    types = [str(torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda")]
    return f"{' '.join(on) or 'off'}, types {' '.join(types)}"


def _float32_precision() -> str:
    """Whether products of float32 may be computed with fewer bits, for each library that can."""
    backends = torch.backends
    parts = [backends, backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn]  # type: ignore[attr-defined]
    parts += [backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn]  # type: ignore[attr-defined]
    return " ".join(part.fp32_precision for part in parts)


def _attention_kernels() -> str:
    cuda = torch.backends.cuda
    on = {
        "flash": cuda.flash_sdp_enabled(),
        "memory-efficient": cuda.mem_efficient_sdp_enabled(),
        "math": cuda.math_sdp_enabled(),
    }
    return " ".join(name for name, enabled in on.items() if enabled)


def _tiny_numbers() -> str:
    """Whether the processor takes denormal numbers for zero."""
    least = np.finfo(np.float64).smallest_subnormal
    return "kept" if least * np.float64(1.0) != 0 else "flushed to zero"


def _module_hooks() -> int:
    """Hooks that run for every module of every model."""
    module = torch.nn.modules.module
    tables = [value for name, value in vars(module).items() if name.startswith("_global_") and isinstance(value, dict)]
    return sum(len(table) for table in tables)


def _cudnn() -> str:
    cudnn = torch.backends.cudnn
    return f"enabled {cudnn.enabled}, benchmark {cudnn.benchmark}, deterministic {cudnn.deterministic}"


_READERS: Mapping[str, Callable[[], Any]] = {
    "default dtype": torch.get_default_dtype,
    "default device": torch.get_default_device,
    "gradients": torch.is_grad_enabled,
    "inference mode": torch.is_inference_mode_enabled,
    "anomaly detection": torch.is_anomaly_enabled,
    "autocast": _autocast,
    "threads of torch": torch.get_num_threads,
    "threads between operations": torch.get_num_interop_threads,
    "deterministic algorithms": torch.get_deterministic_debug_mode,
    "precision of float32": _float32_precision,
    "cuDNN": _cudnn,
    "oneDNN": lambda: torch.backends.mkldnn.enabled,  # type: ignore[attr-defined]
    "attention kernels": _attention_kernels,
    "fast path of transformers": torch.backends.mha.get_fastpath_enabled,
    "hooks of all modules": _module_hooks,
    "denormal numbers": _tiny_numbers,
    "errors of numpy": np.geterr,
    "locale": lambda: locale.setlocale(locale.LC_ALL),
    "garbage collection": gc.isenabled,
    "recursion limit": sys.getrecursionlimit,
    "tracing": lambda: (sys.gettrace(), sys.getprofile()),
    "start method of processes": lambda: multiprocessing.get_start_method(allow_none=True),
    "timer": lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0,
    "working directory": _working_directory,
    "module path": lambda: tuple(sys.path),
    "thread": _threads,
    "child process": _child_processes,
    "environment variable": _environment,
}
