"""One electronic property of the molecules of QM9."""

from dataclasses import dataclass
from typing import ClassVar

from sparsebench.data.molecules.qm9 import Place, qm9_labels
from sparsebench.data.molecules.table import MoleculeTable

from ..contracts.context import Target
from .task import MoleculeTask


@dataclass(frozen=True, kw_only=True)
class QM9Task(MoleculeTask):
    """One row of a table of tasks; a subclass says where the molecules come from.

    From the graph alone, as all rows here see it, without the geometry that the property was computed at. The error is
    the root mean square, where the field reports the mean absolute one on random splits: figures are not comparable.
    """

    name: str
    column: str

    place: ClassVar[Place]
    group = "quantum chemistry"
    target = Target("regression", 1)

    def table(self) -> MoleculeTable:
        """The molecules with that property, eV, D or bohr³."""
        return qm9_labels(self.column, self.place)
