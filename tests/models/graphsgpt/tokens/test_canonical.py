"""Canonical strings and Kekule structures, however a molecule is given."""

import numpy as np
import pytest
from rdkit import Chem

from sparsebench.models.graphsgpt.tokens.canonical import MAX_CHARACTERS, check_size, from_mol, from_smiles
from sparsebench.models.graphsgpt.tokens.status import Rejection, TokenStatus
from sparsebench.models.graphsgpt.tokens.tokenizer import Tokenizer
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary

from .test_tokenizer import FAITHFUL, IMPROVED, SMILES, readable, same


def test_canonical_strings_are_taken_as_they_are():
    trusting = Tokenizer(Vocabulary.improved(), canonical_strings=True)
    canonical = [Chem.MolToSmiles(Chem.MolFromSmiles(text), isomericSmiles=False) for text in SMILES]
    assert same(trusting(canonical), IMPROVED(SMILES))
    for text in ("OCC", "C(O)C"):  # not canonical: right, but in its own order
        element, *_ = readable(trusting(text)[0], trusting.vocabulary)
        assert element == ((8, 0) if text == "OCC" else (6, 0)) and trusting(text).lengths[0] == 5
    never = ["C[C@H](N)O", "F/C=C/F", "[CH3:7][OH:2]", "[H]C([H])([H])O", "CCO name", "[2H]O", "[Na++]", "C1CC", None]
    assert same(trusting(never), IMPROVED(never))


def test_atom_maps_are_labels_and_the_molecule_is_left_alone():
    molecule = Chem.MolFromSmiles("[CH3:7][OH:2]")
    before = molecule.ToBinary()
    assert same(IMPROVED(molecule), IMPROVED("CO")) and same(IMPROVED("[CH3:7][OH:2]"), IMPROVED("CO"))
    assert molecule.ToBinary() == before


def test_explicit_hydrogens_do_not_count_as_atoms():
    heavy = Chem.AddHs(Chem.MolFromSmiles("C" * 100))
    assert heavy.GetNumAtoms() > 128 and same(IMPROVED(heavy), IMPROVED("C" * 100))
    assert FAITHFUL(heavy).status[0] in (TokenStatus.TOO_MANY_ATOMS, TokenStatus.UNKNOWN_TOKEN)


def test_a_long_string_of_a_small_molecule_is_read():
    text = "[C:99999]([H])([H])([H])" + "[C:99999]([H])([H])" * 126 + "[C:99999]([H])([H])([H])"
    assert 2000 < len(text) < MAX_CHARACTERS and same(IMPROVED(text), IMPROVED("C" * 128))


@pytest.mark.parametrize("text", SMILES)
def test_the_structure_is_that_of_the_canonical_string(text: str):
    expected = Chem.MolToSmiles(Chem.MolFromSmiles(text), isomericSmiles=False)
    for molecule in (from_smiles(text), from_mol(Chem.MolFromSmiles(text))):
        assert molecule.smiles == expected
        kekule = Chem.MolFromSmiles(expected)
        Chem.Kekulize(kekule, clearAromaticFlags=True)
        degrees = [int(sum(bond.GetBondTypeAsDouble() for bond in atom.GetBonds())) for atom in kekule.GetAtoms()]
        assert molecule.orders.dtype == np.int8 and molecule.orders.sum(1).tolist() == degrees
        assert (molecule.orders == molecule.orders.T).all() and not molecule.orders.diagonal().any()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("C1CC", TokenStatus.INVALID),
        ("C(C)(C)(C)(C)C", TokenStatus.INVALID),
        ("", TokenStatus.EMPTY),
        ("C" * 129, TokenStatus.TOO_MANY_ATOMS),
        ("C" * (MAX_CHARACTERS + 1), TokenStatus.TOO_MANY_ATOMS),
        ("C[13CH3]", TokenStatus.ISOTOPE),
    ],
)
def test_rejections_say_why(text: str, status: TokenStatus):
    with pytest.raises(Rejection) as caught:
        from_smiles(text)
    assert caught.value.status == status and str(caught.value)


def test_sizes():
    check_size(Chem.AddHs(Chem.MolFromSmiles("C" * 128)))
    with pytest.raises(Rejection, match="129 atoms, at most 128"):
        check_size(Chem.MolFromSmiles("C" * 129))
