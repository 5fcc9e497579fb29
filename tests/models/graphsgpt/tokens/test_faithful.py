"""The walk over bonds in faithful mode, by hand."""

import numpy as np
import pytest
from rdkit import Chem

from sparsebench.models.graphsgpt.tokens.faithful import collect_bonds, read, walk
from sparsebench.models.graphsgpt.tokens.status import Rejection, TokenStatus
from sparsebench.models.graphsgpt.tokens.vocabulary import EdgeType, Vocabulary

VOCABULARY = Vocabulary.faithful([(6, 6, 1), (6, 8, 1), (6, 8, 2), (6, 6, 1.5)])  # tokens from 120 on, sorted


def rows(smiles: str) -> list[list[int]]:
    return walk(read(smiles), VOCABULARY).T.tolist()


def test_an_edge_stands_between_its_ends() -> None:
    assert rows("OC=O") == [[9, 0, 0, 1], [122, 0, 1, 0], [7, 1, 1, 1], [123, 1, 2, 0], [9, 2, 2, 1]]


def test_ring_closures_bring_no_atom_and_may_run_backwards() -> None:
    ring = rows("C1CC1")
    assert [row for row in ring if row[3] == 0] == [[120, 0, 1, 0], [120, 1, 2, 0], [120, 0, 2, 0]]
    moved = Chem.RenumberAtoms(Chem.MolFromSmiles("CCO"), [2, 0, 1])  # O 0, C 1, C 2; bonds 1-2, 0-2
    assert walk(moved, VOCABULARY).T.tolist() == [
        [7, 0, 0, 1], [120, 0, 1, 0], [7, 1, 1, 1], [9, 2, 2, 1], [122, 2, 1, 0],
    ]  # fmt: skip


def test_charges_and_single_atoms_are_lost() -> None:
    assert rows("CC[O-]") == rows("CCO") == rows("CCO.[Na+]")
    assert walk(read("CCO"), VOCABULARY).dtype == np.int16


@pytest.mark.parametrize(
    ("smiles", "status"),
    [
        ("C", TokenStatus.EMPTY),
        ("CN", TokenStatus.UNKNOWN_TOKEN),
        ("C=C", TokenStatus.UNKNOWN_TOKEN),
        ("C1CC", TokenStatus.INVALID),
        ("C" * 129, TokenStatus.TOO_MANY_ATOMS),
        ("C" * 20_000, TokenStatus.TOO_MANY_ATOMS),
        ("", TokenStatus.EMPTY),
    ],
)
def test_rejections(smiles: str, status: TokenStatus) -> None:
    with pytest.raises(Rejection) as caught:
        rows(smiles)
    assert caught.value.status == status and str(caught.value)


def test_the_bonds_of_a_set_leave_out_what_cannot_be_read(capfd: pytest.CaptureFixture[str]) -> None:
    found = collect_bonds(["OC=O", "C1CC", Chem.MolFromSmiles("c1ccoc1")])
    assert found == {EdgeType(6, 8, 1), EdgeType(6, 8, 2), EdgeType(6, 6, 1.5), EdgeType(6, 8, 1.5)}
    assert capfd.readouterr().err == ""
