"""MiniMol (Klaser et al., arXiv 2404.14986): a pre-trained graph network whose atoms, pooled, are a fingerprint."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import global_max_pool

from ...errors import ModelError
from ..gin import initialise
from .features import ATOM_WIDTH, BOND_WIDTH
from .layers import GINE, Layer, Links, VirtualNode, parted, told
from .positions import STEPS

# Shapes: N atoms, E bonds in both directions, G molecules, P eigenvectors.


@dataclass(frozen=True, kw_only=True)
class MiniMolConfig:
    """Sizes of a `MiniMol`; the defaults are those of the released weights.

    `layers` counts all layers of GINE, `width` is that of most of them, `entry` that of atoms before the first, `out`
    that of the fingerprint and `bonds` that of embedded bonds. `hidden_atoms` and `hidden_bonds` are those of the two
    MLPs before the layers, `position` and `hidden_position` those of the encoders of positions. `seed` draws weights.
    """

    layers: int = 16
    width: int = 336
    out: int = 512
    entry: int = 128
    bonds: int = 168
    hidden_atoms: int = 256
    hidden_bonds: int = 128
    position: int = 32
    hidden_position: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.layers < 3:
            raise ModelError(f"layers={self.layers}: a MiniMol has a first, a last and at least one more")


class MiniMol(nn.Module):
    """Graphs of `minimol_graphs` to fingerprints: the largest of each number over the atoms after the last layer.

    `first` and `last` change the width, and are no blocks; the `layers` between them are. There is neither dropout
    (0.02 and 0.1 in pre-training) nor a random sign in training.

    Example: `MiniMol(MiniMolConfig(layers=3, width=32))(Batch.from_data_list(minimol_graphs(["CCO", "C"]))).shape ==
    (2, 512)`.
    """

    def __init__(self, config: MiniMolConfig) -> None:
        super().__init__()
        self.width = config.out
        self.laplacian = LaplacianEncoder(config.hidden_position, config.position)
        self.returns = nn.Sequential(
            nn.LayerNorm(STEPS),
            *_dense(STEPS, config.hidden_position, nn.ReLU()),
            *_dense(config.hidden_position, config.position, nn.ReLU()),
        )
        self.atoms = nn.Sequential(
            *_dense(ATOM_WIDTH + config.position, config.hidden_atoms, nn.ReLU()),
            *_dense(config.hidden_atoms, config.entry),
        )
        self.bonds = nn.Sequential(
            *_dense(BOND_WIDTH, config.hidden_bonds, nn.ReLU()), *_dense(config.hidden_bonds, config.bonds)
        )
        self.first = GINE(config.entry, config.width, config.bonds)
        self.first_node = VirtualNode(config.width)
        self.layers = nn.ModuleList(Layer(config.width, config.bonds) for _ in range(config.layers - 2))
        self.last: GINE | None = GINE(config.width, config.out, config.bonds)
        initialise(self, torch.Generator().manual_seed(config.seed))

    def forward(self, graphs: Data) -> Tensor:
        """Fingerprints (G, width) of a batch of graphs."""
        atoms, links = self.atom_states(graphs)
        return global_max_pool(atoms, links.molecule, len(links.sizes))

    def atom_states(self, graphs: Data) -> tuple[Tensor, Links]:
        """States of the atoms after the last layer, (N, width), and what the layers read of the batch."""
        atoms, links = self.embed(graphs)
        atoms = self.first(atoms, links)
        node = atoms.new_zeros(len(links.sizes), atoms.shape[1])
        state = self.first_node(atoms, node, links)
        for layer in self.layers:
            state = layer(state, links)
        if self.last is None:
            return parted(state, links)[0], links
        return self.last(told(state, links), links), links

    def embed(self, graphs: Data) -> tuple[Tensor, Links]:
        """Atoms before the first layer, (N, entry), and what all layers read."""
        assert graphs.x is not None and graphs.edge_index is not None and graphs.edge_attr is not None
        positions = self.laplacian(graphs.eigenvalues, graphs.eigenvectors) + self.returns(graphs.returns)
        atoms = self.atoms(torch.cat([positions, graphs.x], dim=1))
        molecule = graphs.batch
        if molecule is None:
            molecule = graphs.edge_index.new_zeros(len(atoms))
        source, target = graphs.edge_index
        return atoms, Links(self.bonds(graphs.edge_attr), source, target, molecule, torch.bincount(molecule))

    def keep_first(self, layers: int) -> MiniMol:
        """Drop, in place, all but so many of the first layers; returns the network.

        The fingerprint is then pooled from the atoms after the last of them, as wide as they are. Raises `ModelError`
        where `layers` is below 1, or not below the number of layers.
        """
        count = len(self.layers) + 1 + (self.last is not None)
        if not 1 <= layers < count:
            raise ModelError(f"keep_first({layers}): of {count} layers, 1 to {count - 1} can be kept")
        self.layers = self.layers[: layers - 1]
        self.last = None
        self.width = self.first.norm.normalized_shape[0]
        return self


class LaplacianEncoder(nn.Module):
    """Pairs of an eigenvalue and the atom's number in its eigenvector, through one MLP each, summed over the pairs."""

    def __init__(self, hidden: int, out: int) -> None:
        super().__init__()
        self.each = nn.Sequential(nn.Linear(2, hidden), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
        self.sum = nn.Linear(hidden, out)

    def forward(self, values: Tensor, vectors: Tensor) -> Tensor:
        """Encoded positions (N, out) of eigenvalues and eigenvectors, (N, P) each."""
        return self.sum(self.each(torch.stack([values, vectors], dim=2)).sum(dim=1))


def _dense(width: int, out: int, activation: nn.Module | None = None) -> list[nn.Module]:
    parts: list[nn.Module] = [nn.Linear(width, out), nn.LayerNorm(out)]
    if activation is not None:
        parts.append(activation)
    return parts
