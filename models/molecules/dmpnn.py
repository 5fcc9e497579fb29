"""Directed message passing network on molecules."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import optional
from .gin import CategoryEncoder, initialise
from .molecule_graph import ATOM_FEATURES, BOND_FEATURES

with optional():
    from torch_geometric.data import Data
    from torch_geometric.nn import global_mean_pool


@dataclass(frozen=True, kw_only=True)
class DMPNNConfig:
    """Size of a `DMPNN`; the defaults are those of its authors' program.

    Raises:
        ValueError: a width or depth below 1.
    """

    width: int = 300
    depth: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.width, self.depth) < 1:
            raise ValueError(f"width={self.width} and depth={self.depth} must be 1 or more")


class DMPNN(nn.Module):
    """Directed message passing network (Yang et al. 2019, arXiv 1904.01561, section "Directed MPNN").

    A state belongs to a bond in one direction, v -> w, and a message to it comes from all bonds into v but its own way
    back, so that nothing runs to and fro on one bond. With atoms x, bonds e and N(v) the neighbours of v:

        h0[v, w] = relu(W_i (x[v], e[v, w]))
        m[v, w] = sum over k in N(v) without w of h[k, v]
        h[v, w] = relu(h0[v, w] + W_m m[v, w])          depth - 1 times
        h[v] = relu(W_a (x[v], sum over k in N(v) of h[k, v]))

    The molecule is the mean of h[v] over its atoms, as in the authors' program (the paper writes the sum), followed by
    one hidden layer, so that with a linear head behind it the network has the two layers that it has there. Categories
    are embedded, which is W on their one-hot vectors. They are those of `molecule_graphs`, not the program's.

    Args:
        config: size, and the seed of the weights.

    Example:
        >>> from sparsebench.models.molecules.molecule_graph import molecule_graphs
        >>> DMPNN(DMPNNConfig(width=8))(molecule_graphs(["CCO"])[0]).shape
        torch.Size([1, 8])
    """

    def __init__(self, config: DMPNNConfig) -> None:
        super().__init__()
        self.width = config.width
        self.depth = config.depth
        self.sources = CategoryEncoder(ATOM_FEATURES, config.width)
        self.bonds = CategoryEncoder(BOND_FEATURES, config.width)
        self.messages = nn.Linear(config.width, config.width, bias=False)
        self.atoms = CategoryEncoder(ATOM_FEATURES, config.width)
        self.incoming = nn.Linear(config.width, config.width)
        self.hidden = nn.Linear(config.width, config.width)
        initialise(self, torch.Generator().manual_seed(config.seed))

    def forward(self, graphs: Data) -> Tensor:
        """One vector a molecule, (graphs, width), of a batch of `molecule_graphs`."""
        assert graphs.x is not None and graphs.edge_index is not None and graphs.edge_attr is not None
        count = len(graphs.x)
        source, target = graphs.edge_index
        back = ways_back(graphs.edge_index, count)
        first = (self.sources(graphs.x)[source] + self.bonds(graphs.edge_attr)).relu()
        state = first
        for _ in range(self.depth - 1):
            into = _summed(state, target, count)
            state = (first + self.messages(into[source] - state[back])).relu()
        atoms = (self.atoms(graphs.x) + self.incoming(_summed(state, target, count))).relu()
        return self.hidden(global_mean_pool(atoms, getattr(graphs, "batch", None))).relu()


def ways_back(edge_index: Tensor, count: int) -> Tensor:
    """The place of each bond's other direction.

    Args:
        edge_index: (2, E) int64, each bond of a simple graph in both directions, in any order.
        count: of atoms.

    Returns:
        (E,) int64.
    """
    source, target = edge_index
    ways = source * count + target
    order = ways.argsort()
    return order[torch.searchsorted(ways[order], target * count + source)]


def _summed(states: Tensor, target: Tensor, count: int) -> Tensor:
    """The sum of the states (E, width) of the bonds into each atom, (count, width)."""
    return states.new_zeros(count, states.shape[1]).index_add(0, target, states)
