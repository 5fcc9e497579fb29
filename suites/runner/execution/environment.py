"""What a record says of the machine and the software it was made with."""

import functools
import platform
import subprocess
from typing import Any

from ..discovery.closure import HOME
from ..discovery.registry import suites
from ..identity.fingerprint import installed
from ..identity.machine import cores, memory_bytes, processor, processor_type

LIBRARIES = ("sparsebench", "torch", "transformers", "numpy", "accelerate", "datasets")
"""Named in every record, in addition to those that a suite's scores depend on."""

RESULTS = ":(exclude)reports/results"
"""A run that writes into a committed result folder changes the tree, but no code."""


def environment() -> dict[str, Any]:
    """Python, libraries, processor, memory, accelerator, threads, who chooses between forms, and the commit."""
    import torch

    from sparsebench.models.native.forms import is_by_rules

    accelerator = None
    if torch.cuda.is_available():
        accelerator = torch.cuda.get_device_name()  # of the one that this process sees, or the first
    forms = "rules" if is_by_rules() else "measured"
    return {**machine(), "threads": torch.get_num_threads(), "forms": forms, "accelerator": accelerator}


@functools.cache
def machine() -> dict[str, Any]:
    """What is the same for every process of a run. Touches no accelerator, so that processes can be forked after it."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "processor": processor(),
        "processor_type": processor_type(),
        "cores": cores(),
        "memory_bytes": memory_bytes(),
        "libraries": {name: installed(name) for name in _libraries()},
        "commit": _git("rev-parse", "HEAD"),
        "dirty": _is_dirty(),
    }


def _is_dirty() -> bool | None:
    """Whether the source tree has changes that no commit holds; None where git cannot say."""
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", ".", RESULTS)
    return None if changes is None else bool(changes)


def _libraries() -> list[str]:
    ours = [name for about in suites().values() for name in about.libraries]
    return list(dict.fromkeys([*LIBRARIES, *ours]))


def _git(*arguments: str) -> str | None:
    """Output of git in the source tree; None where there is no tree (an installed wheel) or no git."""
    if not (HOME / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(HOME), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
