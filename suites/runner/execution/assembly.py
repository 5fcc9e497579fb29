"""The score of a cell from the names of its methods, its task and its backbones.

The code hash of every cell covers this file, too (`identity/fingerprint.py`).
"""

from pathlib import Path

from sparsebench.reports.records.record import CellInfo

from ...contracts.task import Outcome
from ..discovery.loading import load_parts
from ..discovery.parts import parts_of
from .scoring import score


def score_cell(info: CellInfo, device: str, checkpoints: Path | None) -> Outcome:
    """Run one cell on a kind of device; its trainings keep checkpoints in a folder, if there is one.

    Raises `UsageError` for a name that is not there or an option that a method does not know, and whatever the cell
    raises.
    """
    loaded = load_parts(parts_of(info), info.links)
    return score(info, loaded.chain, loaded.task, loaded.loaders, device, checkpoints)
