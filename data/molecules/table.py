"""The table that every labelled molecule set gives, and the check of its SMILES strings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

TaskType = Literal["regression", "classification"]


@dataclass(frozen=True, kw_only=True)
class RejectedRow:
    """A row of the source that RDKit cannot read: its number (from 0), its SMILES and RDKit's reason."""

    row: int
    smiles: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class MoleculeTable:
    """``smiles`` of N molecules and ``targets``, float64 (N, T) with NaN where a value is missing.

    ``rejected`` lists the rows that were excluded; ``units`` has one entry per target, "" for classes (0 or 1).
    """

    name: str
    smiles: list[str]
    targets: "np.ndarray"
    task_type: TaskType
    target_names: tuple[str, ...]
    units: tuple[str, ...]
    rejected: tuple[RejectedRow, ...] = ()

    def __len__(self) -> int:
        return len(self.smiles)


def parse_failure(smiles: str) -> str | None:
    """Why RDKit cannot turn ``smiles`` into a molecule with atoms; None when it can."""
    from rdkit import Chem, rdBase

    if len(smiles.split()) > 1:  # RDKit takes what stands behind a blank for a name
        return "a blank in it: more than one SMILES string, or a name behind it"
    with rdBase.BlockLogs():
        try:
            molecule = Chem.MolFromSmiles(smiles, sanitize=False)
        except UnicodeEncodeError:
            return "half a character (a lone surrogate)"
        if molecule is None:
            return "not a SMILES string"
        if molecule.GetNumAtoms() == 0:
            return "no atoms"
        try:
            Chem.SanitizeMol(molecule)
        except ValueError as error:  # RDKit's sanitisation errors
            return str(error).splitlines()[0]
    return None


def build_table(
    name: str,
    smiles: Sequence[str],
    targets: "np.ndarray",
    task_type: TaskType,
    target_names: Sequence[str],
    units: Sequence[str],
) -> MoleculeTable:
    """Check each SMILES; rows that RDKit cannot read go to `rejected` with the reason, never silently.

    Args:
        name: of the table.
        smiles: of each row.
        targets: (rows, targets), NaN where unknown.
        task_type: regression or classification.
        target_names: of each target.
        units: of each target.

    Returns:
        The table.
    """
    kept: list[int] = []
    rejected: list[RejectedRow] = []
    for row, text in enumerate(smiles):
        reason = parse_failure(text)
        if reason is None:
            kept.append(row)
        else:
            rejected.append(RejectedRow(row=row, smiles=text, reason=reason))
    return MoleculeTable(
        name=name,
        smiles=[smiles[row] for row in kept],
        targets=targets[kept],
        task_type=task_type,
        target_names=tuple(target_names),
        units=tuple(units),
        rejected=tuple(rejected),
    )
