"""The walk over bonds of GraphsGPT (arXiv 2402.02464): atoms are elements, edges (element, element, order) bonds."""

from collections.abc import Iterable
from functools import cache

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize

from .batch import MoleculeTokens
from .canonical import MAX_CHARACTERS, check_count, check_size
from .status import Rejection, TokenStatus
from .vocabulary import EdgeType, NodeType, Vocabulary


def read(item: str | Chem.Mol) -> Chem.Mol:
    """A string is parsed and normalised, a molecule is taken as it is. Raises `Rejection`."""
    if isinstance(item, Chem.Mol):
        check_size(item)
        return item
    if len(item) > MAX_CHARACTERS:
        raise Rejection(TokenStatus.TOO_MANY_ATOMS, f"{len(item):,} characters, at most {MAX_CHARACTERS:,} are read")
    molecule = Chem.MolFromSmiles(item)
    if molecule is None:
        raise Rejection(TokenStatus.INVALID, f"{item[:80]!r} is not a valid SMILES string")
    check_size(molecule)
    return _normalizer().normalize(molecule)


def walk(molecule: Chem.Mol, vocabulary: Vocabulary) -> MoleculeTokens:
    """Bonds in RDKit's order, each end before its first edge or right after it. Raises `Rejection`.

    Charges, hydrogens, isotopes and stereo are lost, and so is an atom without a bond.
    """
    seen: dict[int, int] = {}
    rows: list[tuple[int, int, int, int]] = []
    atoms = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]

    def visit(atom: int) -> None:
        if atom not in seen:
            seen[atom] = number = len(seen)
            rows.append((_lookup(vocabulary.node_ids, NodeType(atoms[atom], 0)), number, number, 1))

    for low, high, edge in _bonds(molecule, atoms):
        visit(low)
        token = _lookup(vocabulary.edge_ids, edge)
        # An end that is not there yet has the next number: its own row follows the edge.
        rows.append((token, seen[low], seen.get(high, len(seen)), 0))
        visit(high)
    if not rows:
        raise Rejection(TokenStatus.EMPTY, "no bonds")
    check_count(len(seen))
    return np.array(rows, dtype=np.int16).T


def collect_bonds(molecules: Iterable[str | Chem.Mol]) -> set[EdgeType]:
    """All kinds of bonds of molecules, for `Vocabulary.faithful`.

    Args:
        molecules: SMILES or RDKit molecules; those that cannot be read are passed over.
    """
    found: set[EdgeType] = set()
    with rdBase.BlockLogs():
        for item in molecules:
            try:
                molecule = read(item)
            except Rejection:
                continue
            atoms = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
            found.update(edge for _, _, edge in _bonds(molecule, atoms))
    return found


def _bonds(molecule: Chem.Mol, atoms: list[int]) -> Iterable[tuple[int, int, EdgeType]]:
    for bond in molecule.GetBonds():
        low, high = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
        light, heavy = sorted((atoms[low], atoms[high]))
        yield low, high, EdgeType(light, heavy, bond.GetBondTypeAsDouble())


def _lookup(ids: dict, kind: NodeType | EdgeType) -> int:
    if kind not in ids:
        raise Rejection(TokenStatus.UNKNOWN_TOKEN, f"{kind} is not in the vocabulary")
    return ids[kind]


@cache
def _normalizer() -> rdMolStandardize.Normalizer:
    return rdMolStandardize.Normalizer()
