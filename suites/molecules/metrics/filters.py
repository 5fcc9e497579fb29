"""Filters: medicinal chemistry filters (MCF), PAINS, and the rules of the MOSES collection."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rdkit import Chem, DataStructs

from sparsebench.reports.records.record import Metric

from .fraction import fraction

ATOMS = frozenset({"C", "N", "S", "O", "F", "Cl", "Br", "H"})
LARGEST_RING = 7
_SCREEN_BITS = 2048


@dataclass(frozen=True)
class Patterns:
    """Substructures that a molecule must not have, and their screens, uint64 (patterns, words)."""

    queries: list[Chem.Mol]
    screens: np.ndarray


def read_patterns(mcf: Path, pains: Path) -> Patterns:
    """SMARTS of two CSV files of MOSES: ``mcf`` with a header and a column smarts, ``pains`` without, SMARTS first.

    Raises ValueError for a SMARTS string that RDKit cannot read.
    """
    with mcf.open(encoding="utf-8", newline="") as lines:
        smarts = [row["smarts"] for row in csv.DictReader(lines)]
    with pains.open(encoding="utf-8", newline="") as lines:
        smarts += [row[0] for row in csv.reader(lines) if row]
    return patterns([text.strip() for text in smarts])


def patterns(smarts: Sequence[str]) -> Patterns:
    """Queries and screens of SMARTS strings. Raises ValueError for one that RDKit cannot read."""
    queries = [Chem.MolFromSmarts(text) for text in smarts]
    for text, query in zip(smarts, queries, strict=True):
        if query is None:
            raise ValueError(f"{text!r} is not a valid SMARTS string")
    screens = np.array([_screen(query) for query in queries], dtype=np.uint64)
    return Patterns(queries, screens.reshape(-1, _SCREEN_BITS // 64))


def filters(molecules: Sequence[Chem.Mol], forbidden: Patterns) -> Metric:
    """Fraction of molecules that pass. Raises ValueError without molecules."""
    return fraction(sum(passes(molecule, forbidden) for molecule in molecules), len(molecules))


def passes(molecule: Chem.Mol, forbidden: Patterns) -> bool:
    """No ring of eight or more atoms, no charged atom, C N S O F Cl Br H only, and no forbidden substructure."""
    if any(len(ring) > LARGEST_RING for ring in molecule.GetRingInfo().AtomRings()):
        return False
    if any(atom.GetFormalCharge() != 0 or atom.GetSymbol() not in ATOMS for atom in molecule.GetAtoms()):
        return False
    whole = Chem.AddHs(molecule)  # many of the patterns name hydrogens
    # A query that has a bit which the molecule lacks cannot match: most of the 502 need no search.
    candidates = np.flatnonzero(~(forbidden.screens & ~_screen(whole)).any(1))
    return not any(whole.HasSubstructMatch(forbidden.queries[place]) for place in candidates)


def _screen(molecule: Chem.Mol) -> np.ndarray:
    """RDKit's pattern fingerprint, uint64 (32,): whatever contains a query has all of the query's bits."""
    bits = Chem.PatternFingerprint(molecule, fpSize=_SCREEN_BITS)
    return np.frombuffer(DataStructs.BitVectToBinaryText(bits), dtype=np.uint64)
