"""Threads, memory and accelerator of a process that runs cells."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ...identity.switches import OF_CELLS

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Read by the libraries when they are loaded."""
VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"


def thread_environment(threads: int) -> dict[str, str]:
    """The variables that give libraries so many threads; to be set before they are imported."""
    return dict.fromkeys(THREAD_VARIABLES, str(threads))


def settle(threads: int, memory: int | None, device: str | None) -> None:
    """Once in a process, before its first cell.

    Args:
        threads: for operations of torch.
        memory: bound on what the process allocates, in bytes; None: no bound.
        device: the one accelerator that it sees, as `CUDA_VISIBLE_DEVICES` names it; None: as it is.
    """
    os.environ.update(thread_environment(threads))
    for name, value in OF_CELLS.items():
        os.environ.setdefault(name, value)
    if device is not None:
        os.environ[VISIBLE_DEVICES] = device
    if memory is not None:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        bound = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    import torch

    torch.set_num_threads(threads)


@contextmanager
def as_in_a_worker() -> Iterator[None]:
    """Within it sums are added in the order of a worker with one thread, so that scores are those of its records."""
    import torch

    from sparsebench.models.native.forms import by_rules

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with by_rules():
            yield
    finally:
        torch.set_num_threads(threads)
