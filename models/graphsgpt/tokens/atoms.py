"""Atoms of a canonical SMILES string as node tokens, and the check that valence alone implies their hydrogens."""

import re
from functools import cache

from rdkit import Chem

from .canonical import KekuleMolecule
from .status import Rejection, TokenStatus
from .vocabulary import NodeType, Vocabulary

_ATOM = re.compile(r"\[[^\]]*\]|Br|Cl|[BCNOPSFIbcnops*]")
_BRACKET = re.compile(r"\[([A-Za-z][a-z]?)(?:H(\d*))?([+-]\d*)?\]")
_NO_ORDER = frozenset("<>~$*")  # dative, zero-order and quadruple bonds, any atom


class AtomReader:
    """`AtomReader(vocabulary)(molecule)`: the node tokens of its atoms. Raises `Rejection`."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._ids = vocabulary.node_ids
        self._tokens: dict[str, int] = {}

    def __call__(self, molecule: KekuleMolecule) -> list[int]:
        """Tokens in canonical order."""
        if not _NO_ORDER.isdisjoint(molecule.smiles):
            raise Rejection(TokenStatus.UNKNOWN_TOKEN, f"{molecule.smiles} has a dummy atom or a bond without order")
        texts = _ATOM.findall(molecule.smiles)
        try:
            tokens = [self._tokens[text] for text in texts]
        except KeyError:
            tokens = [self._token(text) for text in texts]
        if "[" in molecule.smiles:
            _check_hydrogens(texts, molecule)
        return tokens

    def _token(self, text: str) -> int:
        node = _element_and_charge(text)
        if node not in self._ids:
            raise Rejection(TokenStatus.UNKNOWN_TOKEN, f"atom {text} is not in the vocabulary")
        return self._tokens.setdefault(text, self._ids[node])


@cache
def _element_and_charge(text: str) -> NodeType:
    match = _BRACKET.fullmatch(text)
    symbol = text
    charge = "0"
    if match is not None:
        symbol = match[1]
        charge = match[3] or "0"
    if charge in "+-":  # a sign alone stands for one charge
        charge += "1"
    number = Chem.GetPeriodicTable().GetAtomicNumber(symbol.capitalize())
    return NodeType(number, int(charge))


def _check_hydrogens(texts: list[str], molecule: KekuleMolecule) -> None:
    valences = molecule.orders.sum(axis=1)
    for text, valence in zip(texts, valences.tolist(), strict=True):
        match = _BRACKET.fullmatch(text)
        if match is None:
            continue  # without a bracket, the hydrogens are implied
        stated = 0 if match[2] is None else int(match[2] or 1)
        implied = _implied_hydrogens(*_element_and_charge(text), valence)
        if implied is None:
            raise Rejection(TokenStatus.INVALID, f"{text} with {valence} bonds exceeds its valence")
        if stated != implied:
            status = TokenStatus.RADICAL if stated < implied else TokenStatus.HYDROGENS
            raise Rejection(status, f"{text} with {valence} bonds has {stated} hydrogens, its valence gives {implied}")


@cache
def _implied_hydrogens(element: int, charge: int, valence: int) -> int | None:
    """Hydrogens that RDKit adds to an atom whose bond orders sum to `valence`; None where it would refuse the atom."""
    molecule = Chem.RWMol()
    atom = Chem.Atom(element)
    atom.SetFormalCharge(charge)
    molecule.AddAtom(atom)
    for _ in range(valence):
        molecule.AddBond(0, molecule.AddAtom(Chem.Atom(0)), Chem.BondType.SINGLE)
    try:
        molecule.UpdatePropertyCache(strict=True)
    except ValueError:
        return None
    return molecule.GetAtomWithIdx(0).GetTotalNumHs()
