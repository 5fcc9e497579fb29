import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from torch_geometric.data import Data
from torch_geometric.utils import from_smiles

from sparsebench.models.graphsgpt.tokens.status import TokenStatus
from sparsebench.models.graphsgpt.tokens.tokenizer import TokenisedMolecules, Tokenizer
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary

IMPROVED = Tokenizer(Vocabulary.improved())
FAITHFUL = Tokenizer(Vocabulary.faithful([(6, 6, 1), (6, 6, 2), (6, 6, 1.5), (6, 8, 1), (6, 7, 1.5)]))
SMILES = [
    "CCO",
    "c1ccccc1",
    "c1ccc2[nH]ccc2c1",
    "CC(=O)Oc1ccccc1C(=O)O",
    "[O-][N+](=O)c1ccc2ccccc2c1C#N",
    "C[C@H](N)C(=O)O",
    "F/C=C/Cl",
    "[Na+].[O-]C(=O)c1ccccc1.O",
    "C1CC2CCC1C2",
    "C[N+](C)(C)CC([O-])=O",
    "O=S(=O)(Nc1ncccn1)c1ccc(N)cc1",
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C",
]


def readable(tokens: np.ndarray, vocabulary: Vocabulary) -> list[Any]:
    """(element, charge) for a node, (order, i, j) for an edge."""
    nodes = {token: tuple(node) for node, token in vocabulary.node_ids.items()}
    edges = {token: edge for edge, token in vocabulary.edge_ids.items()}
    return [
        nodes[token] if node else (edges[token].order, first, second)
        for token, first, second, node in tokens.T.tolist()
    ]


def test_a_batch_is_its_molecules_one_by_one():
    together = IMPROVED(SMILES * 60)  # more than one chunk
    assert len(together) == 60 * len(SMILES)
    for index, text in enumerate(SMILES):
        alone = IMPROVED(text)[0]
        assert np.array_equal(together[index], alone)
        assert np.array_equal(together[index + 59 * len(SMILES)], alone)


def same(one: TokenisedMolecules, other: TokenisedMolecules) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("rows", "lengths", "status"))


def shuffled(molecule: Chem.Mol, generator: random.Random) -> Chem.Mol:
    order = list(range(molecule.GetNumAtoms()))
    generator.shuffle(order)
    return Chem.RenumberAtoms(molecule, order)


def test_any_way_to_give_a_molecule_gives_the_same_tokens():
    wanted = IMPROVED(SMILES)
    molecules = [Chem.MolFromSmiles(text) for text in SMILES]
    generator = random.Random(0)
    for _ in range(10):
        permuted = [shuffled(molecule, generator) for molecule in molecules]
        assert same(IMPROVED(permuted), wanted)
        kekule = [Chem.Mol(molecule) for molecule in permuted]
        for molecule in kekule:
            Chem.Kekulize(molecule, clearAromaticFlags=True)
        assert same(IMPROVED(kekule), wanted)
        assert same(IMPROVED([Chem.MolToSmiles(molecule, doRandom=True) for molecule in molecules]), wanted)
    assert same(IMPROVED([Chem.AddHs(molecule) for molecule in molecules]), wanted)
    assert same(IMPROVED([Chem.MolToSmiles(Chem.AddHs(molecule)) for molecule in molecules]), wanted)
    assert same(IMPROVED([from_smiles(text) for text in SMILES]), wanted)
    assert same(IMPROVED([from_smiles(text, with_hydrogen=True) for text in SMILES]), wanted)
    assert same(IMPROVED([from_smiles(text, kekulize=True) for text in SMILES]), wanted)


def test_mixed_list_and_single_molecules():
    mixed = ["CCO", Chem.MolFromSmiles("OCC"), from_smiles("C(C)O")]
    found = IMPROVED(mixed)
    assert all(np.array_equal(tokens, found[0]) for tokens in found)
    assert all(len(IMPROVED(item)) == 1 for item in mixed)


EDGE_CASES = [
    ("C", "OK", "EMPTY"),
    ("[Na+].[Cl-]", "OK", "EMPTY"),
    ("C" * 128, "OK", "OK"),
    ("C" * 129, "TOO_MANY_ATOMS", "TOO_MANY_ATOMS"),
    ("C" * 1_000_000, "TOO_MANY_ATOMS", "TOO_MANY_ATOMS"),
    ("(" * 1000, "INVALID", "INVALID"),
    ("C1CC", "INVALID", "INVALID"),
    ("c1cccc1", "INVALID", "INVALID"),
    ("C(C)(C)(C)(C)C", "INVALID", "INVALID"),
    ("C\x00C", "INVALID", "INVALID"),
    ("\ud800", "INVALID", "INVALID"),
    ("é", "INVALID", "INVALID"),
    ("CC>>CC", "INVALID", "INVALID"),
    ("", "EMPTY", "EMPTY"),
    (Chem.Mol(), "EMPTY", "EMPTY"),
    (None, "NOT_A_MOLECULE", "NOT_A_MOLECULE"),
    (3.5, "NOT_A_MOLECULE", "NOT_A_MOLECULE"),
    (float("nan"), "NOT_A_MOLECULE", "NOT_A_MOLECULE"),
    (b"C", "NOT_A_MOLECULE", "NOT_A_MOLECULE"),
    ([], "NOT_A_MOLECULE", "NOT_A_MOLECULE"),
    (Data(), "INVALID", "INVALID"),
    (Data(z=torch.tensor([6]), edge_index=torch.tensor([[0], [7]]), edge_attr=torch.ones(1)), "INVALID", "INVALID"),
    ("[Se]", "RADICAL", "EMPTY"),
    ("[CH3]", "RADICAL", "EMPTY"),
    ("C[CH2]", "RADICAL", "OK"),
    ("[Na]", "RADICAL", "EMPTY"),
    ("[PH5]", "HYDROGENS", "EMPTY"),
    ("[2H]OC", "ISOTOPE", "UNKNOWN_TOKEN"),
    ("C[13CH3]", "ISOTOPE", "OK"),
    (Chem.MolFromSmiles("C[13CH3]"), "ISOTOPE", "OK"),
    ("*C", "UNKNOWN_TOKEN", "UNKNOWN_TOKEN"),
    ("C$C", "UNKNOWN_TOKEN", "UNKNOWN_TOKEN"),
    ("[NH3]->[Fe]", "UNKNOWN_TOKEN", "UNKNOWN_TOKEN"),
    ("[C-4]", "UNKNOWN_TOKEN", "EMPTY"),
    ("[Fe]", "OK", "EMPTY"),
    ("[H][H-][BH2]", "INVALID", "UNKNOWN_TOKEN"),
    ("CBr", "OK", "UNKNOWN_TOKEN"),
    ("CCO a name", "OK", "OK"),
]


@pytest.mark.parametrize(("tokenizer", "column"), [(IMPROVED, 1), (FAITHFUL, 2)], ids=["improved", "faithful"])
def test_edge_cases(tokenizer: Tokenizer, column: int, capfd: pytest.CaptureFixture[str]):
    result = tokenizer([case[0] for case in EDGE_CASES])
    found = [TokenStatus(status).name for status in result.status]
    wrong = [(str(case[0])[:20], got) for case, got in zip(EDGE_CASES, found, strict=True) if got != case[column]]
    assert wrong == []
    ok = result.status == TokenStatus.OK
    assert ((result.lengths > 0) == ok).all() and (result.ok == np.flatnonzero(ok)).all()
    assert all((reason == "") == good for reason, good in zip(result.reasons, ok, strict=True))
    assert result.batch().mask.any(1).tolist() == ok.tolist()
    assert capfd.readouterr() == ("", "")


def test_empty_list():
    assert len(IMPROVED([])) == 0 == len(FAITHFUL([])) and IMPROVED([]).batch().tokens.shape == (0, 0)


ALPHABET = st.sampled_from(
    [*"CNOPSFIcnos[]()=#+-@/\\.123%*$:H", "Cl", "Br", "[nH]", "[N+]", "[O-]", "[2H]", "c1ccccc1"]
)
ITEMS = st.one_of(
    st.lists(ALPHABET, max_size=25).map("".join),
    st.text(max_size=10),
    st.none(),
    st.integers(),
    st.floats(),
    st.binary(),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ITEMS, max_size=12))
def test_no_batch_raises_and_every_row_keeps_its_place(items: list[Any]):
    for tokenizer in (IMPROVED, FAITHFUL):
        result = tokenizer(items)
        assert len(result) == len(items) == len(result.reasons)
        for index, item in enumerate(items):
            assert np.array_equal(result[index], tokenizer([item])[0])
