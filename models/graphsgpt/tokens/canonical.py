"""Molecules as their canonical SMILES string and its Kekule structure, whatever order the atoms came in.

The string is RDKit's, without stereo: canonical ranks, then depth first. Its atoms in writing order are the canonical
order. The Kekule structure is computed from the string alone, so it is the same too.
"""

import re
from typing import NamedTuple

import numpy as np
from rdkit import Chem

from .status import Rejection, TokenStatus, file_hint
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
_TO_AROMATIC = _FLAGS.SANITIZE_SETAROMATICITY | _FLAGS.SANITIZE_ADJUSTHS
_FIND_RADICALS = _FLAGS.SANITIZE_FINDRADICALS | _TO_AROMATIC  # only atoms in brackets can be radicals
_ISOTOPE = re.compile(r"\[\d")
_NEVER_CANONICAL = re.compile(r"[@/\\:*\s]|\[H\]|\[[\d#]|\+\+|--")  # stereo, map numbers, names, other notations


class KekuleMolecule(NamedTuple):
    """Canonical SMILES without stereo, and the bond orders (0, 1, 2, 3), int8 (atoms, atoms), in its atom order."""

    smiles: str
    orders: np.ndarray


def _reader(name: bool) -> Chem.SmilesParserParams:
    parameters = Chem.SmilesParserParams()
    parameters.sanitize = False
    parameters.removeHs = False
    parameters.parseName = parameters.allowCXSMILES = name
    return parameters


def _writer() -> Chem.SmilesWriteParams:
    parameters = Chem.SmilesWriteParams()
    parameters.doIsomericSmiles = False
    parameters.cleanStereo = False
    return parameters


_READER, _NAMED_READER, _WRITER = _reader(False), _reader(True), _writer()


def from_smiles(text: str, trusted: bool = False) -> KekuleMolecule:
    """Raises `Rejection`, also for isotopes and for more than `MAX_ATOMS` atoms, hydrogens not counted.

    A `trusted` string is taken as the canonical one, unless it cannot be.
    """
    if trusted and not _NEVER_CANONICAL.search(text):
        return _kekule(text)
    molecule = parse(text)
    brackets = "[" in text
    if brackets and ("[H]" in text or ":" in text or _ISOTOPE.search(text)):
        return from_mol(molecule)
    _sanitise(molecule, _TO_KEKULE)
    orders = _orders(molecule)
    _sanitise(molecule, _FIND_RADICALS if brackets else _TO_AROMATIC)
    molecule.ClearComputedProps(includeRings=False)  # the matrix, which the writer would copy
    # The orders are in the order of this string's atoms: one that was not canonical is read again as it should be.
    smiles = Chem.MolToSmiles(molecule, _WRITER)
    return KekuleMolecule(smiles, orders) if smiles == text else _kekule(smiles)


def from_mol(molecule: Chem.Mol) -> KekuleMolecule:
    """The same for a molecule, which is not changed; hydrogens that are atoms become implicit, map numbers go.

    Args:
        molecule: any molecule of RDKit.

    Raises:
        Rejection: as `from_smiles`.
    """
    check_size(molecule)
    copy = Chem.Mol(molecule)
    for atom in copy.GetAtoms():
        if atom.GetIsotope():
            raise Rejection(TokenStatus.ISOTOPE, f"atom {atom.GetIdx()} is isotope {atom.GetIsotope()}")
        atom.SetAtomMapNum(0)
    _sanitise(copy, _TO_KEKULE)
    _sanitise(copy, _FIND_RADICALS)
    return _kekule(Chem.MolToSmiles(Chem.RemoveHs(copy), _WRITER))


def parse(text: str) -> Chem.Mol:
    """An unsanitised molecule with 1 to `MAX_ATOMS` heavy atoms. Raises `Rejection`."""
    if len(text) > MAX_CHARACTERS:
        raise Rejection(TokenStatus.TOO_MANY_ATOMS, f"{len(text):,} characters, at most {MAX_CHARACTERS:,} are read")
    molecule = Chem.MolFromSmiles(text, _NAMED_READER if " " in text or "\t" in text else _READER)
    if molecule is None:
        raise Rejection(TokenStatus.INVALID, f"{text[:80]!r} is not a SMILES string{file_hint(text)}")
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
    return KekuleMolecule(smiles, _orders(molecule))


def _orders(molecule: Chem.Mol) -> np.ndarray:
    return Chem.GetAdjacencyMatrix(molecule, useBO=True).astype(np.int8)


def _sanitise(molecule: Chem.Mol, steps: int) -> None:
    try:
        Chem.SanitizeMol(molecule, steps)
    except ValueError as error:  # RDKit's sanitisation errors
        raise Rejection(TokenStatus.INVALID, first_line(error)) from error


def first_line(error: Exception) -> str:
    """What RDKit says, without the stack that follows in some versions."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
