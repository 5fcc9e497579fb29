"""Scaf: the ring systems of molecules with the chains between them."""

from collections import Counter
from collections.abc import Iterable

from rdkit import Chem, rdBase
from rdkit.Chem.Scaffolds import MurckoScaffold

MIN_RINGS = 2


def scaffolds(molecules: Iterable[Chem.Mol]) -> Counter[str]:
    """Counts of the Bemis-Murcko scaffolds with at least two rings, by canonical SMILES.

    Molecules with a smaller scaffold, or with one that RDKit cannot make, are excluded.
    """
    with rdBase.BlockLogs():
        found = Counter(map(_scaffold, molecules))
    del found[""]  # those without
    return found


def _scaffold(molecule: Chem.Mol) -> str:
    try:
        scaffold = MurckoScaffold.GetScaffoldForMol(molecule)
    except (ValueError, RuntimeError):
        return ""
    if scaffold.GetRingInfo().NumRings() < MIN_RINGS:
        return ""
    return Chem.MolToSmiles(scaffold)
