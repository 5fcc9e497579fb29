"""What a record says of the machine and the software it was made with."""

import functools
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from ..discovery.closure import HOME
from ..discovery.registry import suites
from ..identity.fingerprint import installed

LIBRARIES = ("sparsebench", "torch", "transformers", "numpy", "accelerate", "datasets")
"""Named in every record, in addition to those that a suite's scores depend on."""


@functools.cache
def environment() -> dict[str, Any]:
    """Python, libraries, processor, memory, threads and the commit of the source tree."""
    import psutil
    import torch

    return {
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "libraries": {name: installed(name) for name in _libraries()},
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def _libraries() -> list[str]:
    ours = [name for about in suites().values() for name in about.libraries]
    return list(dict.fromkeys([*LIBRARIES, *ours]))


def default_workers(threads: int) -> int:
    """As many as the processor and the memory (3 GiB each) carry."""
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores // threads, psutil.virtual_memory().total // (3 << 30)))


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    """Output of git in the source tree; None where there is no tree (an installed wheel) or no git."""
    if not (HOME / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(HOME), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
