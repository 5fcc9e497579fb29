"""Electronic properties of all molecules of QM9, from your own folder"""

from dataclasses import dataclass

from sparsebench.data.molecules.table import MoleculeTable
from sparsebench.data.own.qm9 import own_qm9

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

    version = "1"
    sources = ("qm9-labels",)

    def table(self) -> MoleculeTable:
        """The molecules with that property, in eV, D or bohr³."""
        return own_qm9(self.column)
