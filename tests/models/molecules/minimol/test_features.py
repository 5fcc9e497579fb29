"""Atoms and bonds as MiniMol takes them."""

import pytest
import torch
from rdkit import Chem

from sparsebench.models.errors import ModelError
from sparsebench.models.molecules.minimol import minimol_graphs
from sparsebench.models.molecules.minimol.features import GROUPS, SYMBOLS, VALENCES

ELEMENTS = {"[H][H]": 1, "[He]": 18, "[LiH]": 1, "C": 14, "[AlH3]": 13, "[Fe]": 8, "[La]": 3, "[Ce]": 19, "[Lu]": 19}
ELEMENTS |= {"[Hf]": 4, "[Pb]": 14, "[Rn]": 18, "[U]": 19, "[Br-]": 17}


def test_features_of_an_atom_and_a_bond() -> None:
    graph = minimol_graphs(["C=[NH+]C"])[0]
    nitrogen = graph.x[:, 5 + SYMBOLS.index("N")].argmax()
    assert graph.x[nitrogen, :5].tolist() == [1, 1, 0, 0, 0], "degree beyond 2, charge, radicals, aromatic, in a ring"
    ones = graph.x[nitrogen, 5:].nonzero().flatten().tolist()
    starts = [0, len(SYMBOLS) + 1, len(SYMBOLS) + len(GROUPS) + 2, len(SYMBOLS) + len(GROUPS) + 10]
    places = [SYMBOLS.index("N"), GROUPS.index(15), 1, VALENCES.index(4)]
    assert ones == [start + place for start, place in zip(starts, places, strict=True)]
    assert graph.x.shape == (3, 85) and graph.edge_attr.shape == (4, 13)
    assert sorted(graph.edge_attr[:, :4].argmax(1).tolist()) == [0, 0, 1, 1], "two bonds in both directions"


@pytest.mark.parametrize("smiles", ELEMENTS)
def test_groups_of_the_periodic_table(smiles: str) -> None:
    groups = minimol_graphs([smiles])[0].x[:, 5 + len(SYMBOLS) + 1 :][:, : len(GROUPS) + 1]
    assert set((groups.argmax(1) + 1).tolist()) == {ELEMENTS[smiles]}


def test_what_is_not_listed_has_the_last_place() -> None:
    graph = minimol_graphs(["[U]"])[0]
    assert graph.x[0, 5 + len(SYMBOLS)] == 1 and graph.edge_index.shape == (2, 0) and graph.edge_attr.shape == (0, 13)


def test_any_string_of_a_molecule_has_the_same_graph() -> None:
    text = "C[C@H](N)c1ccc(/C=C/C#N)nc1"
    molecule = Chem.MolFromSmiles(text)
    order = list(range(molecule.GetNumAtoms()))[::-1]
    other = Chem.MolToSmiles(Chem.RenumberAtoms(molecule, order), canonical=False)
    assert other != text
    one, two = minimol_graphs([text, other])
    assert torch.equal(one.x, two.x) and torch.equal(one.returns, two.returns)
    assert torch.allclose(one.eigenvalues, two.eigenvalues, atol=1e-3)


def test_what_is_no_molecule_is_named_with_its_row() -> None:
    with pytest.raises(ModelError, match=r"row 1: 'C1CC' is not a valid SMILES"):
        minimol_graphs(["C", "C1CC"])
    with pytest.raises(ModelError, match=r"row 1: 'C\*' has an atom that is no element"):
        minimol_graphs(["C", "C*"])
