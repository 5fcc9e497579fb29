"""What a generator gave, read once: every metric but validity is of the valid entries alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from rdkit import Chem, rdBase

from sparsebench.reports.records.record import Metric

from .fraction import fraction


@dataclass(frozen=True)
class Generated:
    """Canonical ``smiles`` and ``molecules`` of the valid entries, in the generator's order, and the number of all."""

    smiles: list[str]
    molecules: list[Chem.Mol]
    entries: int


def read(generated: Sequence[str | None]) -> Generated:
    """Parse SMILES strings. None, an empty string and what RDKit cannot read are invalid.

    As in MOSES, the molecules are those of the canonical strings, not of the given ones. An entry whose canonical
    string RDKit cannot read back is invalid too (MOSES stops there).
    """
    smiles, molecules = [], []
    with rdBase.BlockLogs():
        for text in generated:
            canonical = _canonical(text)
            molecule = Chem.MolFromSmiles(canonical)
            if canonical and molecule is not None:
                smiles.append(canonical)
                molecules.append(molecule)
    return Generated(smiles, molecules, len(generated))


def _canonical(text: str | None) -> str:
    """ "" for what RDKit cannot read."""
    molecule = None
    if text:
        molecule = Chem.MolFromSmiles(text)
    if molecule is None:
        return ""
    return Chem.MolToSmiles(molecule)


def validity(generated: Generated) -> Metric:
    """Fraction of valid entries. Raises ValueError without entries."""
    return fraction(len(generated.smiles), generated.entries)
