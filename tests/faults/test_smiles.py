"""Mutated SMILES strings: refused with the reason, or read as the molecule that the string means."""

import random
from collections.abc import Callable
from functools import partial

import numpy as np
from rdkit import Chem, rdBase

from sparsebench.data.molecules.table import build_table
from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.tokens.detokenize import to_smiles
from sparsebench.models.graphsgpt.tokens.status import TokenStatus
from sparsebench.models.graphsgpt.tokens.tokenizer import Tokenizer
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary
from sparsebench.models.molecules.smiles import parse

from .draws import SilentlyWrongError, Tally, number

SMILES = (
    "CC(=O)Oc1ccccc1C(=O)O",
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
    "C[C@H](N)C(=O)O.[Na+].[Cl-]",
    "O=C1c2ccccc2S(=O)(=O)N1CCCCN1CCN(c2ncccn2)CC1",
    "F/C=C/Br",
    "[2H]C([2H])([2H])O",
    "c1ccc2[nH]ccc2c1",
    "C#N",
)
PIECES = [*"CNOFSPBIclnos()[]=#-+123%.@/\\H *\0é\ud800", "[C", "[nH]", "%12", "Cl", "[Xx]", "[999C]", ">>"]
HOSTILE = ("", " ", "C" * 5000, "(" * 5000, "[" * 5000, "C1" * 100, "C%99", ">>", "C\nC", "*", "[H]", "C" * 300 + "1")


class RefusedError(Exception):
    """The reason why a string is no molecule for us."""


def test_suite_table_and_parsers(record_property: Callable) -> None:
    """The reader of data sets and that of models take what RDKit takes, and name what it does not."""
    tally = Tally("SMILES, read")
    for draw in range(number(120, 600)):
        tally.judge(draw, partial(read, mutated(draw)), (RefusedError,))
    tally.check(record_property)


def test_tokens(record_property: Callable) -> None:
    """What has tokens comes back as the same molecule without stereo; what has none has a reason."""
    tally = Tally("SMILES, tokens")
    tokenizer = Tokenizer(Vocabulary.improved())
    for draw in range(number(120, 600)):
        tally.judge(draw, partial(there_and_back, tokenizer, mutated(draw)), (RefusedError,))
    tally.check(record_property)


def mutated(draw: int) -> str:
    if draw < len(HOSTILE):
        return HOSTILE[draw]
    chance = random.Random(draw)
    text = chance.choice(SMILES)
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        at = chance.randrange(len(text) + 1)
        end = at + chance.choice((0, 1, 1, 3))
        text = text[:at] + chance.choice(("", *PIECES)) + text[end:]
    return text


def means(text: str) -> Chem.Mol | None:
    """The molecule that RDKit reads; None where it is none."""
    try:
        with rdBase.BlockLogs():
            molecule = Chem.MolFromSmiles(text)
    except (ValueError, TypeError):  # a text that cannot be handed to it
        return None
    return molecule if molecule is not None and molecule.GetNumAtoms() else None


def read(text: str) -> None:
    table = build_table("t", ["C", text], np.zeros((2, 1)), "regression", ["y"], [""])
    try:
        parsed = Chem.MolToSmiles(parse([text])[0])
    except ModelError as error:
        parsed = str(error)
        if "row 0" not in parsed:
            raise SilentlyWrongError(f"{text!r} was refused without its row: {parsed}") from error
    expected = means(text)
    if len(text.split()) > 1:
        expected = None  # RDKit reads up to the blank; a table would keep the whole as that molecule's
    if (len(table) == 2) != (expected is not None):
        raise SilentlyWrongError(f"{text!r}: {table.rejected}")
    if expected is None:
        raise RefusedError(table.rejected[0].reason)
    if parsed != Chem.MolToSmiles(expected):
        raise SilentlyWrongError(f"{text!r} was read as {parsed!r}")


def there_and_back(tokenizer: Tokenizer, text: str) -> None:
    tokens = tokenizer([text])
    if tokens.status[0] != TokenStatus.OK:
        raise RefusedError(tokens.reasons[0])
    found = to_smiles(tokens[0], tokenizer.vocabulary)
    expected = means(text)
    if expected is None:
        raise SilentlyWrongError(f"{text!r} is no molecule, and has tokens")
    Chem.RemoveStereochemistry(expected)
    if canonical(found) != canonical(Chem.MolToSmiles(expected)):
        raise SilentlyWrongError(f"{text!r} came back as {found!r}")


def canonical(text: str) -> str:
    """The same string for the same molecule: with hydrogens as counts, read once more."""
    return Chem.MolToSmiles(Chem.RemoveHs(Chem.MolFromSmiles(text)))
