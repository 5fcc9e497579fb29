"""A layer of MiniMol against the formula, atom by atom."""

import torch
from torch_geometric.data import Batch

from sparsebench.models.molecules.minimol import MiniMol, minimol_graphs
from sparsebench.models.molecules.minimol.layers import Layer


@torch.no_grad()
def test_a_layer_is_the_formula(small: MiniMol) -> None:
    small = small.double()
    graphs = Batch.from_data_list(minimol_graphs(["CCO", "N", "c1ccoc1"])).apply(
        lambda value: value.double() if value.is_floating_point() else value
    )
    _, links = small.embed(graphs)
    generator = torch.Generator().manual_seed(0)
    state = torch.randn(9 + 6, 24, generator=generator, dtype=torch.float64)
    layer = small.layers[0]
    assert isinstance(layer, Layer)
    layer.gine.get_buffer("eps").fill_(0.25)
    atoms, node, message = state[:9], state[9:12], state[12:]
    heard = torch.stack([atoms[i] + message[links.molecule[i]] for i in range(9)])
    new = atoms.clone()
    for atom in range(9):
        gathered = 1.25 * heard[atom]
        for bond in range(graphs.edge_index.shape[1]):
            if graphs.edge_index[1, bond] == atom:
                gathered += (heard[graphs.edge_index[0, bond]] + layer.gine.bond(links.bonds[bond])).relu()
        new[atom] += layer.gine.activation(layer.gine.norm(layer.gine.mlp(gathered)))
    nodes, messages = [], []
    for molecule in range(3):
        own = new[graphs.batch == molecule]
        pooled = own.mean(0) * torch.tensor(float(len(own))).double().log()
        change = layer.virtual.norm(layer.virtual.fc(node[molecule] + pooled))
        nodes.append(node[molecule] + layer.virtual.activation(change))
        messages.append(layer.virtual.project(nodes[-1]))
    torch.testing.assert_close(layer(state, links), torch.cat([new, torch.stack(nodes), torch.stack(messages)]))
