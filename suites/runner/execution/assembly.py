"""The score of a cell from the names of its methods, its task and its backbones.

The code hash of every cell covers this file, too (`identity/fingerprint.py`).
"""

from pathlib import Path

from sparsebench.reports.records.record import CellInfo

from ...contracts.task import Outcome
from ..discovery.loading import backbone_loader, load_method, load_task
from ..discovery.registry import find
from .scoring import score


def score_cell(info: CellInfo, device: str, checkpoints: Path | None) -> Outcome:
    """Run one cell on a kind of device; its trainings keep checkpoints in a folder, if there is one.

    Raises `UsageError` for a name that is not there or an option that a method does not know, and whatever the cell
    raises.
    """
    chain = [load_method(find("method", link.method), link.config) for link in info.links]
    task = load_task(find("task", info.task, info.suite))
    names = (info.backbone, *info.further_backbones)
    loaders = {name: backbone_loader(find("backbone", name, info.suite), name) for name in names}
    return score(info, chain, task, loaders, device, checkpoints)
