"""From the tokens of a decoding in faithful mode to molecules with repaired aromatic bonds."""

from __future__ import annotations

import dataclasses

from rdkit import Chem

from ...errors import ModelError
from ..tokens.batch import FIRST, IS_NODE, SECOND, TOKEN, MoleculeTokens
from ..tokens.detokenize import to_molecule
from ..tokens.vocabulary import Vocabulary
from .config import Decoded, DecodingConfig


def finish(decoded: Decoded, vocabulary: Vocabulary, config: DecodingConfig) -> Decoded:
    """The same with its `molecule`, and with the bonds that lost their aromaticity among the `illegal` ones.

    Constrained, aromatic bonds are repaired to the last; else as published. The molecule is "invalid", and not there,
    if RDKit does not sanitise the result."""
    if decoded.status == "invalid":
        return decoded
    try:
        molecule = to_molecule(decoded.tokens, vocabulary, "completed" if config.constrained else "fixed")
    except ModelError:
        return dataclasses.replace(decoded, status="invalid")
    illegal = decoded.illegal + _lost(decoded.tokens, vocabulary, molecule)
    return dataclasses.replace(decoded, molecule=molecule, illegal=illegal)


def _lost(tokens: MoleculeTokens, vocabulary: Vocabulary, molecule: Chem.Mol) -> int:
    """How many bonds are written as aromatic and are not aromatic in the molecule."""
    return sum(
        vocabulary.edges[row[TOKEN] - vocabulary.first_edge].order == 1.5
        and not molecule.GetBondBetweenAtoms(row[FIRST], row[SECOND]).GetIsAromatic()
        for row in tokens.T.tolist()
        if not row[IS_NODE]
    )
