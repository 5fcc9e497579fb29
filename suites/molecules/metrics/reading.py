"""What a generator gave, read once: how much of it is valid, and what of the valid entries is unique and new."""

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

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


def novelty(smiles: Sequence[str], training: Collection[str]) -> Metric:
    """Fraction of the distinct generated molecules that are not in ``training``, both as canonical SMILES strings.

    Strings are compared, so both sides must be canonical in the same version of RDKit. The strings of MOSES are older
    than ours: 2 of a random 10,000 of its training set differ from RDKit 2026.9's, too few to re-write 1.6 million.
    Raises ValueError without molecules.
    """
    known = training if isinstance(training, AbstractSet) else set(training)
    distinct = set(smiles)
    return fraction(len(distinct - known), len(distinct))


def copies(smiles: Sequence[str], training: AbstractSet[str]) -> Metric:
    """Fraction of the generated molecules, repeated ones too, that are in ``training``: lower is better.

    Of a sampler that never repeats itself it is 1 - `novelty`, and strings are compared as there. Raises ValueError
    without molecules.
    """
    found = fraction(sum(text in training for text in smiles), len(smiles))
    return replace(found, higher_is_better=False)


def unique(smiles: Sequence[str], k: int) -> Metric:
    """Distinct strings among the first ``k`` canonical SMILES of valid molecules, divided by ``k`` ("unique@k").

    It falls as k grows, so it has no meaning without its k. Raises ValueError when there are fewer than k.
    """
    if len(smiles) < k:
        raise ValueError(f"unique@{k} needs {k} valid molecules; there are {len(smiles)}")
    return Metric(value=len(set(smiles[:k])) / k, n=k, higher_is_better=True, unit="share")
