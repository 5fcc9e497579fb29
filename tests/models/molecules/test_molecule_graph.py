import pytest
import torch
from rdkit import Chem
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader

from sparsebench.models.counting import count_parameters
from sparsebench.models.molecules.ecfp import ecfp
from sparsebench.models.molecules.gin import GIN, GINConfig
from sparsebench.models.molecules.molecule_graph import ATOM_FEATURES, BOND_FEATURES, molecule_graphs

SMILES = ["C", "CCO", "c1ccccc1", "C[C@H](N)C(=O)O", "[Na+].[Cl-]", "F/C=C/F"]


def small(**fields: object) -> GIN:
    return GIN(GINConfig(**({"width": 16, "layers": 3} | fields)))


def test_graphs() -> None:
    graphs = molecule_graphs(SMILES)
    assert [graph.num_nodes for graph in graphs] == [1, 3, 6, 6, 2, 4]
    assert [graph.num_edges for graph in graphs] == [0, 4, 12, 10, 0, 6]
    for graph in graphs:
        assert (graph.x < torch.tensor(ATOM_FEATURES)).all() and (graph.edge_attr < torch.tensor(BOND_FEATURES)).all()
    assert graphs[1].x[:, 0].tolist() == [6, 6, 8]


@pytest.mark.parametrize("bad", ["C1CC", "not a molecule", "", "C(C)(C)(C)(C)C"])
def test_invalid_smiles_name_the_row(bad: str, capfd: pytest.CaptureFixture) -> None:
    for function in (molecule_graphs, ecfp):
        with pytest.raises(ValueError, match="row 1: ") as caught:
            function(["CC", bad])
        assert repr(bad) in str(caught.value)
    assert capfd.readouterr().err == ""


def test_ecfp() -> None:
    fingerprints = ecfp(SMILES)
    assert fingerprints.shape == (6, 2048) and fingerprints.dtype == torch.float32
    assert set(fingerprints.unique().tolist()) == {0.0, 1.0}
    assert fingerprints[0].sum() == 1 and fingerprints[2].sum() == 3  # methane; benzene: one bit per radius
    assert torch.equal(ecfp(["OCC"]), ecfp(["CCO"]))
    assert ecfp([]).shape == (0, 2048) and ecfp(["CCO"], bits=512).shape == (1, 512)


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
