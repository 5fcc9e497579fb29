"""One electronic property of the molecules of QM9."""

from dataclasses import dataclass

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

    group = "quantum chemistry"
    target = Target("regression", 1)
