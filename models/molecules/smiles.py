"""Parsing of SMILES strings."""

from collections.abc import Iterable

from ..errors import ModelError, optional

with optional():
    from rdkit import Chem, rdBase


def parse(smiles: Iterable[str]) -> list[Chem.Mol]:
    """RDKit molecules. Raises `ModelError`, a ValueError, with the row and the string that is no molecule."""
    with rdBase.BlockLogs():
        molecules = []
        for row, text in enumerate(smiles):
            try:
                molecule = Chem.MolFromSmiles(text)
            except UnicodeEncodeError:  # half a character (a lone surrogate)
                molecule = None
            if molecule is None or molecule.GetNumAtoms() == 0:
                raise ModelError(f"row {row}: {text!r} is not a valid SMILES string")
            molecules.append(molecule)
    return molecules
