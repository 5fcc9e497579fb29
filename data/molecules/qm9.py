"""QM9 (Ramakrishnan et al., 2014): 133,885 molecules of at most nine heavy atoms, as SMILES strings alone."""

import gzip
from pathlib import Path

from ..sources import path


def qm9(folder: Path | str | None = None) -> list[str]:
    """All strings, in the file's order, from your ``folder``, by default ``SPARSEBENCH_QM9``.

    Raises `LocalFolderError` and `ChecksumError`.
    """
    with gzip.open(path("qm9", "smiles", folder), "rt", encoding="ascii") as lines:
        return lines.read().split()[1:]
