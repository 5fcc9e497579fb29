"""How many workers a machine carries, and which accelerator and how much memory each of them gets."""

import os

from ..errors import UsageError
from ..identity.device import device_count, device_kind
from ..identity.machine import cores, memory_bytes
from .isolation.settle import VISIBLE_DEVICES

WORKER_BYTES = 3 << 30
"""Memory that a worker is counted with: what most cells of the built-in profiles stay below."""
LEAST_BOUND = 4 << 30
"""The largest of their cells need 3.6 GiB: a bound below that would end what used to run."""
RESERVE = 0.1
"""Share of the memory that is left to the system, the run itself and file caches."""


def default_workers(threads: int, device: str = "auto") -> int:
    """As many as processor and memory (3 GiB each) carry; with accelerators, one for each of them at most.

    Args:
        threads: of each worker.
        device: what cells run on: "auto", "cpu", "cuda", or one accelerator as in "cuda:1".

    Raises:
        UsageError: there is no such accelerator.
    """
    most = max(1, min(cores() // threads, memory_bytes() // WORKER_BYTES))
    found = accelerators(device)
    return min(most, len(found)) if found else most


def default_memory(workers: int) -> int:
    """Bound on each of so many workers, in bytes, so that one cell that wants too much ends alone."""
    return max(int(memory_bytes() * (1 - RESERVE)) // workers, LEAST_BOUND)


def accelerators(device: str = "auto") -> list[str]:
    """The accelerators that cells may use, as `CUDA_VISIBLE_DEVICES` names them; none if they run on the processor.

    Raises `UsageError` if `device` names one that there is not.
    """
    kind, _, index = device.partition(":")
    if kind == "cpu" or (kind == "auto" and device_kind() == "cpu"):
        return []
    count = device_count()
    shown = os.environ.get(VISIBLE_DEVICES, "")
    names = [str(number) for number in range(count)]
    if shown.strip():
        names = [name.strip() for name in shown.split(",")][:count]
    if not index:
        return names
    if not index.isdigit() or int(index) >= len(names):
        there = ", ".join(f"cuda:{number}" for number in range(len(names))) or "none"
        raise UsageError(f"no device {device!r} here (there are: {there})")
    return [names[int(index)]]
