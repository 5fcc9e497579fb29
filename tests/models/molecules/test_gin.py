"""The graph isomorphism network: its formula, its independence of order, and that it learns."""

import torch
from rdkit import Chem
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader

from sparsebench.models.counting import count_parameters
from sparsebench.models.molecules.gin import GIN, GINConfig
from sparsebench.models.molecules.molecule_graph import molecule_graphs

SMILES = ["C", "CCO", "c1ccccc1", "C[C@H](N)C(=O)O", "[Na+].[Cl-]", "F/C=C/F"]


def small(**fields: object) -> GIN:
    return GIN(GINConfig(**({"width": 16, "layers": 3} | fields)))


def test_encoder_ignores_atom_order_and_batching() -> None:
    model = small().eval()
    orders = [Chem.MolToSmiles(Chem.MolFromSmiles(text), doRandom=True) for text in SMILES]
    together = model(Batch.from_data_list(molecule_graphs(SMILES)))
    assert together.shape == (6, 16)
    alone = torch.cat([model(graph) for graph in molecule_graphs(orders)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(together[1], together[2], atol=1e-3)


def test_one_layer_equals_the_formula() -> None:
    model = small(layers=1).double().eval()
    graph = molecule_graphs(["CCO"])[0]
    atoms, bonds = model.atoms(graph.x), model.bonds[0](graph.edge_attr)
    summed = atoms.clone()
    for edge, (source, target) in enumerate(graph.edge_index.T.tolist()):
        summed[target] += (atoms[source] + bonds[edge]).relu()
    torch.testing.assert_close(model(graph)[0], model.norms[0](model.convs[0].nn(summed)).mean(0))


def test_seed_decides_the_weights() -> None:
    one, two, three = (torch.cat([p.flatten() for p in small(seed=s).parameters()]) for s in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, three)


def test_it_learns() -> None:
    """Number of oxygen atoms, from a few molecules."""
    smiles = ["C" * n + "O" * m for n in range(1, 6) for m in range(4)]
    graphs = molecule_graphs(smiles)
    for graph, text in zip(graphs, smiles, strict=True):
        graph.y = torch.tensor([text.count("O") / len(text)])
    model, head = small(), torch.nn.Linear(16, 1)
    torch.nn.init.zeros_(head.weight)
    optimizer = torch.optim.Adam([*model.parameters(), *head.parameters()], lr=1e-2)
    losses = []
    for _ in range(25):
        for batch in DataLoader(graphs, batch_size=20):
            loss = (head(model(batch)).squeeze(1) - batch.y).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_counts_without_a_describer() -> None:
    counts = count_parameters(small())
    assert counts.total == counts.active == sum(p.numel() for p in small().parameters())
