"""What a worker process does: it settles, says that it is ready, and runs one cell after another."""

import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from sparsebench.reports.store import StoreError

from ...execute import execute
from ...locks import enter_worker
from ..interface import Options


def work(pipe: Connection, folder: Path, parent: int, options: Options) -> None:
    """A worker's life: say that it is ready, then run what comes until None comes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run itself answers Ctrl-C
    enter_worker(folder, parent)
    _settle(options)
    pipe.send("ready")
    while (cell := pipe.recv()) is not None:
        try:
            pipe.send(execute(cell, folder))
        except StoreError as error:
            pipe.send(error)


def _settle(options: Options) -> None:
    """Threads and memory of this process, before and after torch is there."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    if options.memory is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (options.memory, options.memory))
    import torch

    torch.set_num_threads(options.threads)
