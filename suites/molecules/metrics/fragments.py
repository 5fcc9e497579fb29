"""Frag: the pieces that molecules break into at retrosynthetically interesting bonds."""

from collections import Counter
from collections.abc import Iterable

from rdkit import Chem, rdBase
from rdkit.Chem import rdmolops


def fragments(molecules: Iterable[Chem.Mol]) -> Counter[str]:
    """Counts of the BRICS fragments (Degen et al., ChemMedChem 2008, 3, 1503) of all molecules, by canonical SMILES."""
    counts: Counter[str] = Counter()
    with rdBase.BlockLogs():
        for molecule in molecules:
            counts.update(Chem.MolToSmiles(rdmolops.FragmentOnBRICSBonds(molecule)).split("."))
    return counts
