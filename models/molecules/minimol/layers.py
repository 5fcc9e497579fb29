"""The layers of MiniMol: messages along bonds, an MLP with a norm inside, a virtual node for the whole molecule."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

# Shapes: N atoms, E bonds in both directions, G molecules, D width of atoms, B of bonds.


class Links(NamedTuple):
    """What all layers read of a batch: who is bound to whom, and who belongs to which molecule.

    `bonds` (E, B) are embedded bonds, `source` and `target` (E,) the atoms that they join, `molecule` (N,) the number
    of each atom's molecule and `sizes` (G,) how many atoms each has.
    """

    bonds: Tensor
    source: Tensor
    target: Tensor
    molecule: Tensor
    sizes: Tensor


class NormedMLP(nn.Module):
    """down(act(norm(up(x)))), (..., width) to (..., out)."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.activation = nn.GELU()
        self.down = nn.Linear(width, out)

    def forward(self, x: Tensor) -> Tensor:
        """The output (..., out)."""
        return self.down(self.activation(self.norm(self.up(x))))


class GINE(nn.Module):
    """act(norm(mlp((1 + eps) h_i + sum over bonds of relu(h_j + bond(e_ij))))) of each atom i with neighbours j.

    Xu et al., arXiv 1810.00826, with bonds as in Hu et al., arXiv 1905.12265. `eps` (1,) is fixed.
    """

    def __init__(self, width: int, out: int, bonds: int) -> None:
        super().__init__()
        self.bond = nn.Linear(bonds, width)
        self.register_buffer("eps", torch.zeros(1))
        self.mlp: nn.Module = NormedMLP(width, out)
        self.norm = nn.LayerNorm(out)
        self.activation = nn.GELU()

    def forward(self, atoms: Tensor, links: Links) -> Tensor:
        """New states (N, out) from those of the atoms, (N, D)."""
        sent = (atoms[links.source] + self.bond(links.bonds)).relu()
        gathered = (atoms * (1 + self.get_buffer("eps"))).index_add(0, links.target, sent)
        return self.activation(self.norm(self.mlp(gathered)))


class VirtualNode(nn.Module):
    """One more node per molecule: v + act(norm(fc(v + pooled))), which tells its atoms `project` of itself.

    What is pooled is the mean over the atoms times the logarithm of their number.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.activation = nn.GELU()
        self.project = nn.Linear(width, width)

    def forward(self, atoms: Tensor, node: Tensor, links: Links) -> Tensor:
        """The state (N + 2 G, D): the atoms (N, D) as they are, the nodes (G, D) as they are now, what they tell."""
        sums = torch.zeros_like(node).index_add(0, links.molecule, atoms)
        sizes = links.sizes.unsqueeze(1).to(atoms.dtype)
        pooled = sums * (sizes.log() / sizes)
        node = node + self.activation(self.norm(self.fc(node + pooled)))
        return torch.cat([atoms, node, self.project(node)])


class Layer(nn.Module):
    """A layer that keeps the width: GINE of what atoms are told, added to what they were, then the virtual node."""

    def __init__(self, width: int, bonds: int) -> None:
        super().__init__()
        self.gine = GINE(width, width, bonds)
        self.virtual = VirtualNode(width)

    def forward(self, state: Tensor, links: Links) -> Tensor:
        """The next state, (N + 2 G, D), of atoms, virtual nodes and what these tell their atoms."""
        atoms, node = parted(state, links)
        return self.virtual(atoms + self.gine(told(state, links), links), node, links)


def parted(state: Tensor, links: Links) -> tuple[Tensor, Tensor]:
    """Atoms (N, D) and virtual nodes (G, D) of a state."""
    atoms, node, _ = state.split([len(links.molecule), len(links.sizes), len(links.sizes)])
    return atoms, node


def told(state: Tensor, links: Links) -> Tensor:
    """The atoms of a state, each with what the virtual node of its molecule tells, (N, D)."""
    atoms, _, message = state.split([len(links.molecule), len(links.sizes), len(links.sizes)])
    return atoms + message[links.molecule]
