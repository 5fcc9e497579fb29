"""Novelty: how little a generator repeats its training set."""

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet

from sparsebench.reports.records.record import Metric

from .fraction import fraction


def novelty(smiles: Sequence[str], training: Collection[str]) -> Metric:
    """Fraction of the distinct generated molecules that are not in ``training``, both as canonical SMILES strings.

    Strings are compared, so both sides must be canonical in the same version of RDKit. The strings of MOSES are older
    than ours: 2 of a random 10,000 of its training set differ from RDKit 2026.9's, too few to re-write 1.6 million.
    Raises ValueError without molecules.
    """
    known = training if isinstance(training, AbstractSet) else set(training)
    distinct = set(smiles)
    return fraction(len(distinct - known), len(distinct))
