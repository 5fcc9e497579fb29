"""Graph isomorphism network on molecules."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import optional
from .molecule_graph import ATOM_FEATURES, BOND_FEATURES

with optional():
    from torch_geometric.data import Data
    from torch_geometric.nn import GINEConv, global_mean_pool


@dataclass(frozen=True, kw_only=True)
class GINConfig:
    """Size of a `GIN`; the defaults are those of Hu et al."""

    width: int = 300
    layers: int = 5
    dropout: float = 0.0
    seed: int = 0


class GIN(nn.Module):
    """Graph isomorphism network (Xu et al., arXiv 1810.00826) with embedded bonds, as in Hu et al., arXiv 1905.12265.

    Atoms start as the sum of embeddings of their features; each layer is a `GINEConv` with its own sum of bond
    embeddings and a two-layer MLP of hidden width 2 * width, then batch norm, and ReLU except after the last one.
    """

    def __init__(self, config: GINConfig) -> None:
        super().__init__()
        self.width = config.width
        self.dropout = config.dropout
        self.atoms = CategoryEncoder(ATOM_FEATURES, config.width)
        self.bonds = nn.ModuleList()
        self.convs = nn.ModuleList()
        self.norms = nn.ModuleList()
        for _ in range(config.layers):
            self.bonds.append(CategoryEncoder(BOND_FEATURES, config.width))
            self.convs.append(GINEConv(_mlp(config.width)))
            self.norms.append(nn.BatchNorm1d(config.width))
        initialise(self, torch.Generator().manual_seed(config.seed))

    def forward(self, graphs: Data) -> Tensor:
        """Mean of the atoms' states, (graphs, width), of a batch of `molecule_graphs`."""
        assert graphs.x is not None and graphs.edge_attr is not None
        state = self.atoms(graphs.x)
        for layer, (conv, bonds, norm) in enumerate(zip(self.convs, self.bonds, self.norms, strict=True)):
            state = norm(conv(state, graphs.edge_index, bonds(graphs.edge_attr)))
            if layer < len(self.convs) - 1:
                state = state.relu()
            state = F.dropout(state, self.dropout, self.training)
        return global_mean_pool(state, getattr(graphs, "batch", None))


class CategoryEncoder(nn.Module):
    """Sum of one embedding per categorical feature: (items, features) int64 to (items, width)."""

    def __init__(self, sizes: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(size, width) for size in sizes)

    def forward(self, features: Tensor) -> Tensor:
        """The summed embeddings."""
        return torch.stack([embed(features[:, place]) for place, embed in enumerate(self.embeddings)]).sum(0)


def _mlp(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))


@torch.no_grad()
def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of a graph network: embeddings Xavier-uniform, linear layers U(-1, 1) / sqrt(fan_in).

    Args:
        module: the network; its embeddings and linear layers are filled in place.
        generator: gives the numbers.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Embedding):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
        elif isinstance(layer, nn.Linear):
            bound = 1 / math.sqrt(layer.in_features)
            layer.weight.uniform_(-bound, bound, generator=generator)
            if layer.bias is not None:
                layer.bias.uniform_(-bound, bound, generator=generator)
