"""Tokens back to molecules."""

from typing import Literal, get_args

from rdkit import Chem, rdBase

from ...errors import ModelError, check_choice
from .aromatic import fix_aromatic, kekulise
from .batch import FIRST, IS_NODE, SECOND, TOKEN, MoleculeTokens
from .vocabulary import FIRST_NODE, Vocabulary

_BONDS = {
    1: Chem.BondType.SINGLE,
    1.5: Chem.BondType.AROMATIC,
    2: Chem.BondType.DOUBLE,
    3: Chem.BondType.TRIPLE,
}

Aromatic = Literal["as written", "fixed", "completed"]


def to_molecule(tokens: MoleculeTokens, vocabulary: Vocabulary, aromatic: Aromatic = "as written") -> Chem.Mol:
    """A sanitised RDKit molecule; atoms have the tokens' node ids, hydrogens are implicit.

    Faithful tokens lack charges and hydrogens: of pyrrole's ring they do not say where the hydrogen is, so they cannot
    give it back.

    Args:
        tokens: int16 (4, L).
        vocabulary: what they were made with.
        aromatic: how aromatic bonds are repaired. "fixed": those outside an all-aromatic ring are single, as published
            (`fix_aromatic`); "completed": in addition a molecule that RDKit cannot sanitise even so gets double bonds
            and hydrogens instead (`kekulise`).

    Returns:
        The molecule.

    Raises:
        ModelError: (a ValueError) the tokens are no graph, or RDKit cannot sanitise it, for instance for a valence that
            does not exist.
    """
    check_choice("aromatic", aromatic, get_args(Aromatic))
    molecule = _graph(tokens, vocabulary)
    if aromatic != "as written":
        molecule = fix_aromatic(molecule)
    result = molecule.GetMol()
    try:
        with rdBase.BlockLogs():
            if aromatic == "completed" and Chem.SanitizeMol(result, catchErrors=True):
                result = kekulise(molecule).GetMol()
            Chem.SanitizeMol(result)
    except ValueError as error:
        raise ModelError(f"the tokens are no valid molecule: {str(error).splitlines()[0]}") from error
    return result


def to_smiles(tokens: MoleculeTokens, vocabulary: Vocabulary, aromatic: Aromatic = "as written") -> str:
    """Canonical SMILES of `to_molecule`.

    Args:
        tokens: int16 (4, L).
        vocabulary: what they were made with.
        aromatic: how aromatic bonds are repaired, as in `to_molecule`.

    Returns:
        The SMILES.

    Raises:
        ModelError: where `to_molecule` raises it.
    """
    return Chem.MolToSmiles(to_molecule(tokens, vocabulary, aromatic))


def _graph(tokens: MoleculeTokens, vocabulary: Vocabulary) -> Chem.RWMol:
    """Atoms and bonds as they are written, not sanitised."""
    molecule = Chem.RWMol()
    edges = []
    for row in tokens.T.tolist():
        if row[IS_NODE]:
            _add_atom(molecule, row, vocabulary)
        else:
            edges.append(row)
    for row in edges:
        _add_bond(molecule, row, vocabulary)
    return molecule


def _add_atom(molecule: Chem.RWMol, row: list[int], vocabulary: Vocabulary) -> None:
    kind = row[TOKEN] - FIRST_NODE
    number = molecule.GetNumAtoms()
    if not 0 <= kind < len(vocabulary.nodes) or row[FIRST] != number or row[SECOND] != number:
        raise ModelError(f"token {row[TOKEN]} with ids ({row[FIRST]}, {row[SECOND]}) is not node {number}")
    node = vocabulary.nodes[kind]
    atom = Chem.Atom(node.element)
    atom.SetFormalCharge(node.charge)
    molecule.AddAtom(atom)


def _add_bond(molecule: Chem.RWMol, row: list[int], vocabulary: Vocabulary) -> None:
    kind = row[TOKEN] - vocabulary.first_edge
    ends = (row[FIRST], row[SECOND])
    count = molecule.GetNumAtoms()
    between_two_atoms = ends[0] != ends[1] and min(ends) >= 0 and max(ends) < count
    if not 0 <= kind < len(vocabulary.edges) or not between_two_atoms:
        raise ModelError(f"token {row[TOKEN]} with ids {ends} is not an edge between two of {count} atoms")
    if row[TOKEN] == vocabulary.new_fragment:
        return
    order = vocabulary.edges[kind].order
    if order not in _BONDS:
        raise ModelError(f"bond order {order} cannot be built; known are {', '.join(map(str, _BONDS))}")
    if molecule.GetBondBetweenAtoms(*ends):
        raise ModelError(f"two edges between the atoms {ends}")
    molecule.AddBond(*ends, _BONDS[order])
    if order == 1.5:
        molecule.GetBondBetweenAtoms(*ends).SetIsAromatic(True)
        for end in ends:
            molecule.GetAtomWithIdx(end).SetIsAromatic(True)
