"""The directed network: its equations one bond at a time, its independence of order, and where its messages stop."""

import pytest
import torch
from rdkit import Chem
from torch import Tensor
from torch_geometric.data import Batch, Data

from sparsebench.models.molecules.dmpnn import DMPNN, DMPNNConfig, ways_back
from sparsebench.models.molecules.molecule_graph import molecule_graphs

SMILES = ["C", "CCO", "c1ccccc1", "C[C@H](N)C(=O)O", "[Na+].[Cl-]", "F/C=C/F", "C1CC2CCC1C2"]


def small(**fields: int) -> DMPNN:
    return DMPNN(DMPNNConfig(**({"width": 16, "depth": 3} | fields)))


def by_the_equations(model: DMPNN, graph: Data) -> Tensor:
    """One bond after the other, with neighbours in sets."""
    assert graph.x is not None and graph.edge_index is not None and graph.edge_attr is not None
    atoms, bonds = model.sources(graph.x), model.bonds(graph.edge_attr)
    ways = [(v, w) for v, w in graph.edge_index.T.tolist()]
    first = {(v, w): (atoms[v] + bonds[place]).relu() for place, (v, w) in enumerate(ways)}
    states = first
    nothing = torch.zeros(model.width, dtype=atoms.dtype)
    for _ in range(model.depth - 1):
        found = {}
        for v, w in ways:
            message = sum((states[k, u] for k, u in ways if u == v and k != w), nothing)
            found[v, w] = (first[v, w] + model.messages.weight @ message).relu()
        states = found
    own = model.atoms(graph.x)
    last = []
    for v in range(len(graph.x)):
        message = sum((states[k, u] for k, u in ways if u == v), nothing)
        last.append((own[v] + model.incoming(message)).relu())
    return model.hidden(torch.stack(last).mean(0)).relu()


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_it_is_what_the_equations_say(depth: int) -> None:
    model = small(depth=depth).double()
    graphs = molecule_graphs(SMILES)
    together = model(Batch.from_data_list(graphs))  # type: ignore[arg-type]
    torch.testing.assert_close(together, torch.stack([by_the_equations(model, graph) for graph in graphs]))


def test_it_ignores_the_order_of_atoms_and_of_bonds() -> None:
    model = small()
    orders = [Chem.MolToSmiles(Chem.MolFromSmiles(text), doRandom=True) for text in SMILES]
    together = model(Batch.from_data_list(molecule_graphs(SMILES)))  # type: ignore[arg-type]
    graphs = molecule_graphs(orders)
    for graph in graphs:
        assert graph.edge_index is not None and graph.edge_attr is not None
        order = torch.randperm(graph.edge_index.shape[1], generator=torch.Generator().manual_seed(0))
        graph.edge_index, graph.edge_attr = graph.edge_index[:, order], graph.edge_attr[order]
    torch.testing.assert_close(together, torch.cat([model(graph) for graph in graphs]), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(together[1], together[2], atol=1e-3)


def test_every_bond_knows_its_way_back() -> None:
    graph = molecule_graphs(["C1CC2CCC1C2"])[0]
    assert graph.edge_index is not None
    order = torch.randperm(graph.edge_index.shape[1], generator=torch.Generator().manual_seed(1))
    shuffled = graph.edge_index[:, order]
    assert torch.equal(shuffled[:, ways_back(shuffled, 7)], shuffled.flip(0))


def test_a_message_does_not_come_back_on_its_bond() -> None:
    """In ethane a bond has no other bond to hear of: more depth changes nothing, where propane changes."""
    for text, same in (("CC", True), ("CCC", False)):
        graph = molecule_graphs([text])[0]
        assert torch.equal(small(depth=2)(graph), small(depth=3)(graph)) or not same
        assert torch.equal(small(depth=1)(graph), small(depth=2)(graph)) is same


def test_seed_decides_the_weights_and_a_wrong_size_is_named() -> None:
    one, two, three = (torch.cat([p.flatten() for p in small(seed=s).parameters()]) for s in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, three)
    with pytest.raises(ValueError, match="width=16 and depth=0 must be 1 or more"):
        small(depth=0)
