"""B3DB: does the compound pass the blood-brain barrier? (Meng et al., 2021)."""

from sparsebench.data.molecules.table import MoleculeTable
from sparsebench.data.molecules.tables import b3db

from ...contracts.context import Target
from ..task import MoleculeTask


class B3DB(MoleculeTask):
    """7,805 molecules that RDKit can read, 63 % of them BBB+."""

    version = "3"
    group = "physiology"
    sources = ("b3db",)
    target = Target("multilabel", 1)

    def table(self) -> MoleculeTable:
        """The classification table, 1 is BBB+."""
        return b3db()
