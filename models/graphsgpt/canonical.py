"""Molecules as their canonical SMILES string and its Kekule structure, whatever order the atoms came in.

The string is RDKit's, without stereo: canonical ranks, then depth first. Its atoms in writing order are the canonical
order. The Kekule structure is computed from the string alone, so it is the same too.
"""

import re
from typing import NamedTuple

import numpy as np
from rdkit import Chem

from .status import Rejection, TokenStatus
from .vocabulary import MAX_ATOMS

# A string of MAX_ATOMS heavy atoms, all in brackets and with explicit hydrogens, is shorter.
MAX_CHARACTERS = 16_384

_FLAGS = Chem.SanitizeFlags
_TO_KEKULE = (
    _FLAGS.SANITIZE_CLEANUP
    | _FLAGS.SANITIZE_CLEANUP_ORGANOMETALLICS
    | _FLAGS.SANITIZE_PROPERTIES
    | _FLAGS.SANITIZE_KEKULIZE
)
_TO_AROMATIC = _FLAGS.SANITIZE_FINDRADICALS | _FLAGS.SANITIZE_SETAROMATICITY | _FLAGS.SANITIZE_ADJUSTHS
_ISOTOPE = re.compile(r"\[\d")


class KekuleMolecule(NamedTuple):
    """Canonical SMILES without stereo, and the bond orders (0, 1, 2, 3), float64 (atoms, atoms), in its atom order."""

    smiles: str
    orders: np.ndarray


def _reader() -> Chem.SmilesParserParams:
    parameters = Chem.SmilesParserParams()
    parameters.sanitize = False
    parameters.removeHs = False
    return parameters


def _writer() -> Chem.SmilesWriteParams:
    parameters = Chem.SmilesWriteParams()
    parameters.doIsomericSmiles = False
    parameters.cleanStereo = False
    return parameters


_READER, _WRITER = _reader(), _writer()


def from_smiles(text: str) -> KekuleMolecule:
    """Raises `Rejection`, also for isotopes and for more than `MAX_ATOMS` atoms, hydrogens not counted."""
    molecule = parse(text)
    if "[" in text and ("[H]" in text or ":" in text or _ISOTOPE.search(text)):
        return from_mol(molecule)
    _sanitise(molecule, _TO_KEKULE)
    orders = Chem.GetAdjacencyMatrix(molecule, useBO=True)
    _sanitise(molecule, _TO_AROMATIC)
    smiles = Chem.MolToSmiles(molecule, _WRITER)
    return KekuleMolecule(smiles, orders) if smiles == text else _kekule(smiles)


def from_mol(molecule: Chem.Mol) -> KekuleMolecule:
    """The same for a molecule, which is not changed; hydrogens that are atoms become implicit, map numbers go."""
    check_size(molecule)
    copy = Chem.Mol(molecule)
    for atom in copy.GetAtoms():
        if atom.GetIsotope():
            raise Rejection(TokenStatus.ISOTOPE, f"atom {atom.GetIdx()} is isotope {atom.GetIsotope()}")
        atom.SetAtomMapNum(0)
    _sanitise(copy, _TO_KEKULE)
    _sanitise(copy, _TO_AROMATIC)
    return _kekule(Chem.MolToSmiles(Chem.RemoveHs(copy), _WRITER))


def parse(text: str) -> Chem.Mol:
    """An unsanitised molecule with 1 to `MAX_ATOMS` heavy atoms. Raises `Rejection`."""
    if len(text) > MAX_CHARACTERS:
        raise Rejection(TokenStatus.TOO_MANY_ATOMS, f"{len(text):,} characters, at most {MAX_CHARACTERS:,} are read")
    molecule = Chem.MolFromSmiles(text, _READER)
    if molecule is None:
        raise Rejection(TokenStatus.INVALID, f"{text[:80]!r} is not a SMILES string")
    check_size(molecule)
    return molecule


def check_size(molecule: Chem.Mol) -> None:
    """Raises `Rejection` where a molecule has no atoms or more than `MAX_ATOMS` heavy ones."""
    if molecule.GetNumAtoms() == 0:
        raise Rejection(TokenStatus.EMPTY, "no atoms")
    check_count(molecule.GetNumHeavyAtoms())


def check_count(atoms: int) -> None:
    """Raises `Rejection` above `MAX_ATOMS`, the number of position codes."""
    if atoms > MAX_ATOMS:
        raise Rejection(TokenStatus.TOO_MANY_ATOMS, f"{atoms} atoms, at most {MAX_ATOMS} have a position")


def _kekule(smiles: str) -> KekuleMolecule:
    """For a canonical string, in which each letter is one atom of the result."""
    molecule = parse(smiles)
    _sanitise(molecule, _TO_KEKULE)
    return KekuleMolecule(smiles, Chem.GetAdjacencyMatrix(molecule, useBO=True))


def _sanitise(molecule: Chem.Mol, steps: int) -> None:
    try:
        Chem.SanitizeMol(molecule, steps)
    except ValueError as error:  # RDKit's sanitisation errors
        raise Rejection(TokenStatus.INVALID, str(error).splitlines()[0]) from error
