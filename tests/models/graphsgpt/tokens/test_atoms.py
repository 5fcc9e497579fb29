"""Atoms of a canonical string as tokens, and hydrogens that valence does not imply."""

import pytest

from sparsebench.models.graphsgpt.tokens.atoms import AtomReader
from sparsebench.models.graphsgpt.tokens.canonical import from_smiles
from sparsebench.models.graphsgpt.tokens.status import Rejection, TokenStatus
from sparsebench.models.graphsgpt.tokens.vocabulary import NodeType, Vocabulary

VOCABULARY = Vocabulary.improved([(6, 0), (7, 0), (8, 0), (17, 0), (34, 0), (7, 1), (8, -1), (26, 2), (26, 0), (15, 0)])
READ = AtomReader(VOCABULARY)


def nodes(text: str) -> list[NodeType]:
    """Of the atoms, in canonical order."""
    return [VOCABULARY.nodes[token - 2] for token in READ(from_smiles(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CCl", [(6, 0), (17, 0)]),
        ("c1cc[nH]c1", [(6, 0), (6, 0), (6, 0), (7, 0), (6, 0)]),
        ("c1cc[se]c1", [(6, 0), (6, 0), (6, 0), (34, 0), (6, 0)]),
        ("C[N+](=O)[O-]", [(6, 0), (7, 1), (8, 0), (8, -1)]),
        ("[Fe+2]", [(26, 2)]),
        ("[Fe]", [(26, 0)]),
    ],
)
def test_elements_and_charges(text: str, expected: list[tuple[int, int]]) -> None:
    assert nodes(text) == expected
    assert nodes(text) == expected  # from what the first call remembered


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("CF", TokenStatus.UNKNOWN_TOKEN, "atom F is not in the vocabulary"),
        ("C[N-]C", TokenStatus.UNKNOWN_TOKEN, r"atom \[N-\] is not"),
        ("C*", TokenStatus.UNKNOWN_TOKEN, "a dummy atom or a bond without order"),
        ("C$C", TokenStatus.UNKNOWN_TOKEN, "a dummy atom or a bond without order"),
        ("C[CH2]", TokenStatus.RADICAL, "has 2 hydrogens, its valence gives 3"),
        ("[PH5]", TokenStatus.HYDROGENS, "has 5 hydrogens, its valence gives 3"),
    ],
)
def test_what_tokens_cannot_give_back_is_rejected(text: str, status: TokenStatus, reason: str) -> None:
    with pytest.raises(Rejection, match=reason) as caught:
        READ(from_smiles(text))
    assert caught.value.status == status
