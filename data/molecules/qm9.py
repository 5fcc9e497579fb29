"""QM9 (Ramakrishnan et al., 2014): 133,885 molecules of at most nine heavy atoms, as SMILES strings; its properties.

The properties were computed by density functional theory (B3LYP/6-31G(2df,p)).
"""

import gzip
from pathlib import Path
from typing import Literal

from ..errors import DataError
from ..local_folders import note_unpinned
from ..sources import ensure, path
from .table import MoleculeTable, build_table

HARTREE = 27.211386246
"""Electronvolts (CODATA 2018, to nine places after the point)."""
PROPERTIES = {
    "mu": ("D", 1.0),
    "alpha": ("bohr³", 1.0),
    "homo": ("eV", HARTREE),
    "lumo": ("eV", HARTREE),
    "gap": ("eV", HARTREE),
}
"""Electronic properties of a file: the unit that is given, and its size in that of the file. Dipole moment,
polarizability, energies of the highest occupied and the lowest empty orbital, and what lies between them."""
Place = Literal["graphium", "qm9-labels"]
OWN_FILE = "qm9.csv"


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


def qm9_labels(name: str, place: Place = "graphium", folder: Path | str | None = None) -> MoleculeTable:
    """Molecules of QM9 with one of the `PROPERTIES`.

    Args:
        name: of the property.
        place: "graphium", 1,006 molecules of a package; "qm9-labels", a copy of the user's, all of them.
        folder: the user's folder; None is `SPARSEBENCH_QM9_LABELS`.

    Returns:
        The table.

    Raises:
        LocalFolderError: the folder is missing.
        DataError: no such property, or its file has not the columns.
    """
    import pandas as pd

    if name not in PROPERTIES:
        raise DataError(f"QM9 is read for {', '.join(PROPERTIES)}, not for {name!r}")
    file = path("graphium", "micro_qm9") if place == "graphium" else _own_file(folder)
    header = pd.read_csv(file, nrows=0).columns
    missing = [column for column in ("smiles", name) if column not in header]
    if missing:
        raise DataError(f"{file} has no column {' and no '.join(missing)}: it is not QM9 as MoleculeNet publishes it")
    frame = pd.read_csv(file, usecols=["smiles", name])
    unit, size = PROPERTIES[name]
    targets = frame[[name]].to_numpy(float) * size
    return build_table(f"qm9 {name}", list(frame["smiles"]), targets, "regression", [name], [unit])


def _own_file(folder: Path | str | None) -> Path:
    place = ensure("qm9-labels", folder)
    file = place / OWN_FILE
    if not file.is_file():
        raise DataError(f"{place} has no {OWN_FILE}: QM9 as MoleculeNet publishes it")
    note_unpinned("qm9-labels", place, file)
    return file
