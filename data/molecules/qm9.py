"""QM9 (Ramakrishnan et al., 2014): 133,885 molecules of at most nine heavy atoms, as SMILES strings alone."""

import gzip
from pathlib import Path

from ..sources import path


def qm9(folder: Path | str | None = None) -> list[str]:
    """All strings of QM9, in the file's order.

    Args:
        folder: the user's folder; None is `SPARSEBENCH_QM9`.

    Raises:
        LocalFolderError: the folder or the file is missing.
        ChecksumError: it is another file.
    """
    with gzip.open(path("qm9", "smiles", folder), "rt", encoding="ascii") as lines:
        return lines.read().split()[1:]
