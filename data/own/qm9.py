"""QM9 with its properties, a copy of the user's: `qm9.csv` in the folder that `SPARSEBENCH_QM9_LABELS` names."""

from pathlib import Path

from ..errors import DataError
from ..local_folders import note_unpinned
from ..molecules.qm9 import qm9_labels
from ..molecules.table import MoleculeTable
from ..sources import ensure

SOURCE = "qm9-labels"
FILE = "qm9.csv"


def own_qm9(name: str, folder: Path | str | None = None) -> MoleculeTable:
    """The molecules of the user's copy with one property.

    Args:
        name: of the property, one of `sparsebench.data.molecules.qm9.PROPERTIES`.
        folder: the folder; None is `SPARSEBENCH_QM9_LABELS`.

    Returns:
        The table.

    Raises:
        LocalFolderError: there is no such folder.
        DataError: no such file in it, or one that is not QM9 as MoleculeNet publishes it.
    """
    place = ensure(SOURCE, folder)
    file = place / FILE
    if not file.is_file():
        raise DataError(f"{place} has no {FILE}: QM9 as MoleculeNet publishes it")
    note_unpinned(SOURCE, place, file)
    return qm9_labels(name, file)
