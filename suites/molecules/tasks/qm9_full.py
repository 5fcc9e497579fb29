"""Electronic properties of all molecules of QM9, from your own folder"""

from dataclasses import dataclass
from typing import ClassVar

from sparsebench.data.molecules.qm9 import Place

from ..qm9_task import QM9Task

COLUMNS = ("name", "column", "caption")
ROWS = (
    ("qm9_gap", "gap", "QM9 in your folder: energy between the highest occupied and the lowest empty orbital, eV"),
    ("qm9_homo", "homo", "QM9 in your folder: energy of the highest occupied orbital, eV"),
    ("qm9_lumo", "lumo", "QM9 in your folder: energy of the lowest empty orbital, eV"),
    ("qm9_mu", "mu", "QM9 in your folder: dipole moment, debye"),
    ("qm9_alpha", "alpha", "QM9 in your folder: polarizability, bohr³"),
)


@dataclass(frozen=True, kw_only=True)
class QM9Full(QM9Task):
    """One property of some 134,000 molecules. Raises `LocalFolderError` if the folder (`SPARSEBENCH_QM9_LABELS`) is not
    given, `DataError` for another file."""

    place: ClassVar[Place] = "qm9-labels"
    version = "1"
    sources = ("qm9-labels",)
