"""Fragments and scaffolds, counted, and the cosine similarity of counts."""

from collections import Counter
from collections.abc import Iterable, Mapping

from rdkit import Chem, rdBase
from rdkit.Chem import rdmolops
from rdkit.Chem.Scaffolds import MurckoScaffold

from sparsebench.reports.records.record import Metric

MIN_RINGS = 2


def cosine(counts: Mapping[str, int], reference: Mapping[str, int], n: int) -> Metric:
    """Cosine of two count vectors, where what is not counted is zero; ``n`` molecules are behind ``counts``.

    Raises ValueError when one of them is empty.
    """
    if not counts or not reference:
        raise ValueError("the cosine with an empty count is not defined")
    product = sum(count * reference.get(key, 0) for key, count in counts.items())
    value = product / (_length(counts) * _length(reference))
    return Metric(value=value, n=n, higher_is_better=True, unit="")


def _length(counts: Mapping[str, int]) -> float:
    return sum(int(count) ** 2 for count in counts.values()) ** 0.5


def fragments(molecules: Iterable[Chem.Mol]) -> Counter[str]:
    """Counts of the BRICS fragments (Degen et al., ChemMedChem 2008, 3, 1503) of all molecules, by canonical SMILES."""
    counts: Counter[str] = Counter()
    with rdBase.BlockLogs():
        for molecule in molecules:
            counts.update(Chem.MolToSmiles(rdmolops.FragmentOnBRICSBonds(molecule)).split("."))
    return counts


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
