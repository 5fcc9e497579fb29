"""Graphs of torch-geometric as molecules, and what is no graph of a molecule."""

from typing import Any

import numpy as np
import pytest
import torch
from rdkit import Chem
from torch_geometric.data import Batch, Data, InMemoryDataset
from torch_geometric.loader import DataLoader
from torch_geometric.utils import from_smiles

from sparsebench.models.graphsgpt.tokens.graph_input import from_graph
from sparsebench.models.graphsgpt.tokens.status import Rejection, TokenStatus

from .test_tokenizer import IMPROVED, SMILES, same


class InMemory(InMemoryDataset):
    """A data set that looks like one large graph: `dataset.edge_index` is that of all its molecules."""

    def __init__(self, graphs: list[Data]) -> None:
        super().__init__()
        self.data, self.slices = self.collate(graphs)


def graph(molecule: Chem.Mol, one_hot: bool) -> Data:
    bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), bond.GetBondTypeAsDouble()) for bond in molecule.GetBonds()]
    both = bonds + [(j, i, order) for i, j, order in bonds]
    orders = torch.tensor([order for *_, order in both])
    columns = torch.tensor([1.0, 2.0, 3.0, 1.5])
    return Data(
        z=torch.tensor([atom.GetAtomicNum() for atom in molecule.GetAtoms()]),
        charge=torch.tensor([atom.GetFormalCharge() for atom in molecule.GetAtoms()]),
        edge_index=torch.tensor([(i, j) for i, j, _ in both], dtype=torch.int64).reshape(-1, 2).t(),
        edge_attr=(orders[:, None] == columns).float() if one_hot else orders,
    )


@pytest.mark.parametrize("one_hot", [True, False], ids=["one-hot bonds", "bond orders"])
def test_graphs_of_elements_and_orders(one_hot: bool):
    graphs = [graph(Chem.AddHs(Chem.MolFromSmiles(text)), one_hot) for text in SMILES]
    assert same(IMPROVED(graphs), IMPROVED(SMILES))


def one_bond(**changes: Any) -> Data:
    """Formaldehyde without hydrogens, as elements and orders."""
    fields = {
        "z": torch.tensor([6, 8]),
        "edge_index": torch.tensor([[0, 1], [1, 0]]),
        "edge_attr": torch.tensor([2.0, 2.0]),
    }
    return Data(**(fields | changes))


def test_a_bond_counts_once_whichever_ways_it_is_given():
    both = from_graph(one_bond())
    once = from_graph(one_bond(edge_index=torch.tensor([[1], [0]]), edge_attr=torch.tensor([[2.0]])))
    for molecule in (both, once):
        assert [atom.GetAtomicNum() for atom in molecule.GetAtoms()] == [6, 8]
        assert [bond.GetBondType() for bond in molecule.GetBonds()] == [Chem.BondType.DOUBLE]


def test_aromatic_bonds_mark_their_atoms():
    ring = torch.arange(6)
    graph = Data(z=torch.full((6,), 6), edge_index=torch.stack([ring, (ring + 1) % 6]), edge_attr=torch.full((6,), 1.5))
    molecule = from_graph(graph)
    assert all(atom.GetIsAromatic() for atom in molecule.GetAtoms())
    assert IMPROVED(graph).rows.tolist() == IMPROVED("c1ccccc1").rows.tolist()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"z": torch.tensor([6, 119])}, "no element 119"),
        ({"z": torch.tensor([6, 0])}, "no element 0"),
        ({"edge_index": torch.tensor([[0, 1], [1, 2]])}, r"edge \(1, 2\) in a graph of 2 atoms"),
        ({"edge_index": torch.tensor([[0, -1], [1, 0]])}, r"edge \(-1, 0\)"),
        ({"edge_attr": torch.tensor([2.0, 1.0])}, "DOUBLE one way and SINGLE the other"),
        ({"edge_attr": torch.tensor([2.0, 7.0])}, "7.0"),
        ({"edge_attr": None}, "the bond orders, is missing"),
        ({"edge_attr": torch.tensor([2.0])}, "not a graph of a molecule"),
        ({"charge": torch.tensor([0])}, "not a graph of a molecule"),
        ({"edge_index": torch.tensor([[0, 1], [0, 1]])}, "not a graph of a molecule"),
    ],
)
def test_what_is_no_molecule_is_rejected(changes: dict[str, Any], reason: str):
    with pytest.raises(Rejection, match=reason) as caught:
        from_graph(one_bond(**changes))
    assert caught.value.status == TokenStatus.INVALID


def test_a_graph_without_atoms_is_empty():
    nothing = Data(z=torch.zeros(0, dtype=torch.long), edge_index=torch.zeros(2, 0, dtype=torch.long))
    with pytest.raises(Rejection, match="no atoms") as caught:
        from_graph(nothing)
    assert caught.value.status == TokenStatus.EMPTY


def test_a_batch_is_as_many_molecules_as_it_holds():
    smiles = ["CCO", "c1ccccc1O", "CCN"]
    graphs = [from_smiles(text) for text in smiles]
    one_by_one = IMPROVED(smiles)
    batch = Batch.from_data_list(graphs)
    for given in (
        batch,
        [batch],
        DataLoader(graphs, batch_size=2),
        InMemory(graphs),
        [graphs[0], Batch.from_data_list(graphs[1:])],
    ):
        found = IMPROVED(given)
        assert len(found) == 3 and np.array_equal(found.rows, one_by_one.rows), given
    assert len(IMPROVED(graphs[0])) == 1
