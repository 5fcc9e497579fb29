"""The score of a cell from its methods, its task and its backbones.

The code hash of every cell covers this file: the seeds of the global generators, the context, the device. Records,
errors and time limits stand around a score and are elsewhere, so that a change there makes no record stale.
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from sparsebench.reports.records.record import CellInfo

from ...contracts.budget import Budget
from ...contracts.context import Context
from ...contracts.costs import reset_peaks
from ...contracts.method import Method
from ...contracts.seeds import derive_seed
from ...contracts.task import LoadBackbone, Outcome, Task


def score(
    info: CellInfo,
    chain: Sequence[Method],
    task: Task,
    loaders: Mapping[str, LoadBackbone],
    device: str,
    folder: Path | None = None,
) -> Outcome:
    """Run one cell on a kind of device.

    `loaders` has the loader of each backbone by its name; `folder` is where the cell's trainings keep checkpoints.
    """
    seed = global_seed(info)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    reset_peaks(torch.device(device))
    context = Context(
        suite=info.suite,
        task=info.task,
        seed=info.seed,
        budget=Budget(**info.budget),
        dtype=getattr(torch, info.dtype),
        device=torch.device(device),
        folder=folder,
        further={name: loaders[name] for name in info.further_backbones},
    )
    return task.run(chain, loaders[info.backbone], context)


def global_seed(info: CellInfo) -> int:
    """What the global generators (dropout, libraries) start from; the same for every method of a task and seed."""
    return derive_seed(info.suite, info.task, info.seed, "global")
