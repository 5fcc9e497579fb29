"""MiniMol on random weights: batches, order, seeds, fewer layers."""

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch

from sparsebench.models.errors import ModelError
from sparsebench.models.molecules.minimol import MiniMol, MiniMolConfig, minimol_graphs

from .sizes import SMALL

SMILES = ["C", "CCO", "c1ccccc1", "C[C@H](N)C(=O)O", "[Na+].[Cl-]", "F/C=C/F"]


@torch.no_grad()
def test_a_batch_is_its_molecules_in_any_order(small: MiniMol) -> None:
    graphs = minimol_graphs(SMILES)
    together = small(Batch.from_data_list(graphs))
    assert together.shape == (6, 40)
    torch.testing.assert_close(together, torch.cat([small(graph) for graph in graphs]), atol=1e-5, rtol=1e-4)
    backwards = small(Batch.from_data_list(graphs[::-1]))
    torch.testing.assert_close(together, backwards.flip(0), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(together[1], together[2], atol=1e-2)


@torch.no_grad()
def test_the_order_of_atoms_does_not_matter(small: MiniMol) -> None:
    graph = minimol_graphs(["C[C@H](N)C(=O)OC#N"])[0]
    order = torch.randperm(len(graph.x), generator=torch.Generator().manual_seed(0))
    moved = graph.clone()
    for name in ("x", "eigenvalues", "eigenvectors", "returns"):
        moved[name] = graph[name][order]
    moved.edge_index = order.argsort()[graph.edge_index]
    torch.testing.assert_close(small(moved), small(graph), atol=1e-5, rtol=1e-4)


def test_the_seed_decides_the_weights() -> None:
    one, two, three = (nn.utils.parameters_to_vector(MiniMol(config).parameters()) for config in _seeded(0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, three)


def _seeded(*seeds: int) -> list[MiniMolConfig]:
    return [MiniMolConfig(layers=3, width=8, seed=seed) for seed in seeds]


@torch.no_grad()
def test_the_first_layers_alone(small: MiniMol) -> None:
    graphs = Batch.from_data_list(minimol_graphs(SMILES))
    seen: list[torch.Tensor] = []
    small.layers[0].register_forward_hook(lambda module, inputs, state: seen.append(state[: graphs.num_nodes]))
    small(graphs)
    expected = torch.stack([seen[0][graphs.batch == row].amax(0) for row in range(6)])
    assert torch.equal(small.keep_first(2)(graphs), expected) and small.width == 24
    with pytest.raises(ModelError, match=r"keep_first\(2\): of 2 layers, 1 to 1 can be kept"):
        small.keep_first(2)


def test_too_few_layers_are_refused() -> None:
    with pytest.raises(ModelError, match="layers=2"):
        MiniMolConfig(layers=2)
    assert len(MiniMol(SMALL).layers) == 2
