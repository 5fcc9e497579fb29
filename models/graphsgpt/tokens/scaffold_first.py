"""Molecules in an order that begins with a scaffold, so that a decoder can start from it and go on."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rdkit import Chem

from ...errors import ModelError
from .status import Rejection, TokenStatus
from .tokenizer import Tokenizer
from .vocabulary import Vocabulary

MATCHES = 64
"""Places of the scaffold in the molecule that are tried."""


class ScaffoldFirstTokenizer(Tokenizer):
    """Tokens of pairs (molecule, scaffold): exactly the scaffold's own, then the rest of the molecule, depth first.

    Kekule bonds inside the scaffold are the scaffold's. A pair has the status `NO_SCAFFOLD` if the scaffold has no
    place in the molecule: one where atoms, bonds and, with what hangs on them, valences are the same.

    Args:
        vocabulary: in improved mode.
        canonical_strings: as in `Tokenizer`.

    Raises:
        ModelError: a vocabulary in faithful mode.
    """

    def __init__(self, vocabulary: Vocabulary, *, canonical_strings: bool = False) -> None:
        super().__init__(vocabulary, canonical_strings=canonical_strings)
        if vocabulary.mode != "improved":
            raise ModelError("scaffolds come first with a vocabulary in improved mode alone")
        self._steps = (self._pair,)

    def _pair(self, pair: tuple[Any, Any]) -> tuple[list[int], np.ndarray]:
        molecule = self._canonical(pair[0])
        scaffold = self._canonical(pair[1])
        atoms, orders = self._atoms(molecule)
        core, inner = self._atoms(scaffold)
        for place in _places(molecule.smiles, scaffold.smiles):
            if [atoms[atom] for atom in place] != core:
                continue
            merged = _with_core(orders, inner, place)
            if merged is not None:
                order = _scaffold_first(orders, place)
                return [atoms[atom] for atom in order], merged[np.ix_(order, order)]
        raise Rejection(TokenStatus.NO_SCAFFOLD, f"{scaffold.smiles} has no place in {molecule.smiles}")


def _places(molecule: str, scaffold: str) -> Iterator[list[int]]:
    """The atoms of the molecule that the scaffold's atoms can be, both numbered as in the canonical strings."""
    whole = Chem.MolFromSmiles(molecule)
    part = Chem.MolFromSmiles(scaffold)
    yield from map(list, whole.GetSubstructMatches(part, uniquify=False, maxMatches=MATCHES))


def _with_core(orders: np.ndarray, inner: np.ndarray, place: Sequence[int]) -> np.ndarray | None:
    """Bond orders of the molecule with those of the scaffold at `place`; None if that changes bonds or valences."""
    block = np.ix_(place, place)
    same_bonds = ((orders[block] > 0) == (inner > 0)).all()
    if not same_bonds or not (orders[block].sum(1) == inner.sum(1)).all():
        return None
    merged = orders.copy()
    merged[block] = inner
    return merged


def _scaffold_first(orders: np.ndarray, place: Sequence[int]) -> list[int]:
    """All atoms: those of the scaffold, what hangs on each of them, other fragments."""
    result = list(place)
    known = set(place)
    waiting = [*reversed(range(len(orders))), *reversed(place)]  # the last is next; the range is for other fragments
    while waiting:
        atom = waiting.pop()
        if atom not in known:
            known.add(atom)
            result.append(atom)
        for other in orders[atom].nonzero()[0][::-1].tolist():
            if other not in known:
                waiting.append(other)
    return result
