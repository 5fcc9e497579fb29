"""Electronic properties of 1,006 molecules of QM9 that come with a package"""

from dataclasses import dataclass

from sparsebench.data.molecules.qm9 import qm9_labels
from sparsebench.data.molecules.table import MoleculeTable

from ..qm9_task import QM9Task

COLUMNS = ("name", "column", "caption")
ROWS = (
    (
        "qm9_micro_gap",
        "gap",
        "1,006 molecules of QM9: energy between the highest occupied and the lowest empty orbital, eV",
    ),
    ("qm9_micro_homo", "homo", "1,006 molecules of QM9: energy of the highest occupied orbital, eV"),
    ("qm9_micro_lumo", "lumo", "1,006 molecules of QM9: energy of the lowest empty orbital, eV"),
    ("qm9_micro_mu", "mu", "1,006 molecules of QM9: dipole moment, debye"),
    ("qm9_micro_alpha", "alpha", "1,006 molecules of QM9: polarizability, bohr³"),
)


@dataclass(frozen=True, kw_only=True)
class QM9Micro(QM9Task):
    """One property of 1,006 molecules, 828 of them with nine heavy atoms: what a file of a package has of QM9."""

    version = "1"
    sources = ("graphium",)

    def table(self) -> MoleculeTable:
        """The molecules with that property, in eV, D or bohr³."""
        return qm9_labels(self.column)
