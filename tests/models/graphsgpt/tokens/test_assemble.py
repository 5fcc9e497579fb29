"""The order of tokens in improved mode, by hand and against its definition atom by atom."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from sparsebench.models.graphsgpt.tokens.assemble import assemble
from sparsebench.models.graphsgpt.tokens.vocabulary import NEW_FRAGMENT, EdgeType, NodeType, Vocabulary

from .test_tokenizer import ALPHABET, IMPROVED, SMILES, readable


def slow_improved(text: str, vocabulary: Vocabulary) -> list[list[int]]:
    """The definition, atom by atom, on RDKit's own reading of the canonical string."""
    canonical = Chem.MolToSmiles(Chem.MolFromSmiles(text), isomericSmiles=False)
    molecule = Chem.MolFromSmiles(canonical, sanitize=False)
    flags = Chem.SanitizeFlags
    Chem.SanitizeMol(molecule, flags.SANITIZE_CLEANUP | flags.SANITIZE_PROPERTIES | flags.SANITIZE_KEKULIZE)
    rows = []
    for atom in molecule.GetAtoms():
        number = atom.GetIdx()
        node = [vocabulary.node_ids[NodeType(atom.GetAtomicNum(), atom.GetFormalCharge())], number, number, 1]
        bonds = sorted((bond.GetOtherAtomIdx(number), bond.GetBondTypeAsDouble()) for bond in atom.GetBonds())
        edges = [[vocabulary.edge_ids[EdgeType(0, 0, order)], low, number, 0] for low, order in bonds if low < number]
        if number and not edges:
            edges = [[vocabulary.edge_ids[NEW_FRAGMENT], 0, number, 0]]
        rows += [*edges[-1:], node, *edges[:-1]]
    return rows


def test_cyclopropanol_by_hand():
    (tokens,) = IMPROVED("OC1CC1")
    assert readable(tokens, IMPROVED.vocabulary) == [
        (8, 0), (1, 0, 1), (6, 0), (1, 1, 2), (6, 0), (1, 2, 3), (6, 0), (1, 1, 3),
    ]  # fmt: skip


def test_salt_by_hand():
    (tokens,) = IMPROVED("[Na+].[Cl-]")
    assert readable(tokens, IMPROVED.vocabulary) == [(17, -1), (0, 0, 1), (11, 1)]


@pytest.mark.parametrize("text", SMILES)
def test_against_the_slow_reference(text: str):
    assert IMPROVED(text)[0].T.tolist() == slow_improved(text, IMPROVED.vocabulary)


@settings(max_examples=150, deadline=None)
@given(st.lists(ALPHABET, min_size=1, max_size=25).map("".join))
def test_sequences_follow_the_contract(text: str):
    tokens = IMPROVED(text)[0]
    nodes, edges = tokens[:, tokens[3] == 1], tokens[:, tokens[3] == 0]
    assert (nodes[1] == nodes[2]).all() and (nodes[1] == np.arange(nodes.shape[1])).all()
    assert (edges[1] < edges[2]).all() and (nodes[0] < IMPROVED.vocabulary.first_edge).all()
    assert (edges[0] >= IMPROVED.vocabulary.first_edge).all()
    for column in range(tokens.shape[1]):
        present = int(tokens[3, :column].sum())
        if tokens[3, column] and column:
            assert tokens[3, column - 1] == 0 and tokens[2, column - 1] == tokens[2, column]
        elif column:
            assert tokens[1, column] < present and tokens[2, column] <= present


def test_nothing_to_assemble():
    rows, lengths = assemble([], [], IMPROVED.vocabulary)
    assert rows.tolist() == [[0, 0, 0, 0]] and lengths.tolist() == []


def test_molecules_of_one_atom_and_of_two_fragments_side_by_side():
    """Methane, and two atoms without a bond."""
    vocabulary = Vocabulary.improved([(6, 0), (8, 0)])
    orders = [np.zeros((1, 1), dtype=np.int8), np.zeros((2, 2), dtype=np.int8)]
    rows, lengths = assemble([[2], [2, 3]], orders, vocabulary)
    assert lengths.tolist() == [1, 3]
    assert rows.tolist() == [[2, 0, 0, 1], [2, 0, 0, 1], [7, 0, 1, 0], [3, 1, 1, 1], [0, 0, 0, 0]]
