"""QM9 (Ramakrishnan et al., 2014): 133,885 molecules of at most nine heavy atoms, as SMILES strings; its properties.

The properties were computed by density functional theory (B3LYP/6-31G(2df,p)).
"""

import gzip
from pathlib import Path

from ..errors import DataError
from ..sources import path
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


def qm9_labels(name: str, file: Path | None = None) -> MoleculeTable:
    """Molecules of QM9 with one of the `PROPERTIES`.

    Args:
        name: of the property.
        file: a table as MoleculeNet publishes QM9; None is the one of the package graphium, with 1,006 molecules.

    Returns:
        The table.

    Raises:
        DataError: no such property, or the file has not the columns.
    """
    import pandas as pd

    if name not in PROPERTIES:
        raise DataError(f"QM9 is read for {', '.join(PROPERTIES)}, not for {name!r}")
    place = file or path("graphium", "micro_qm9")
    header = pd.read_csv(place, nrows=0).columns
    missing = [column for column in ("smiles", name) if column not in header]
    if missing:
        raise DataError(f"{place} has no column {' and no '.join(missing)}: it is not QM9 as MoleculeNet publishes it")
    frame = pd.read_csv(place, usecols=["smiles", name])
    unit, size = PROPERTIES[name]
    targets = frame[[name]].to_numpy(float) * size
    return build_table(f"qm9 {name}", list(frame["smiles"]), targets, "regression", [name], [unit])
