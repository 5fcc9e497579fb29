"""Which edges a partial molecule allows, for a batch of molecules at once.

Molecules in Kekule form with (element, charge) atoms: a bond must leave both atoms within the highest valence that
RDKit accepts, join two different atoms that are not joined yet, and bring a new atom that can take it. Every molecule
that is built so, stopped after any edge, passes RDKit's sanitisation.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from rdkit import Chem, rdBase
from torch import Tensor

from ...errors import ModelError
from ..tokens.vocabulary import STOP_CLASS, Vocabulary

# Shapes: B molecules, C bond classes (0 is stop), N atom classes, A atoms that fit.

HIGHEST = 8  # no bond order sum above this is tried


class Edge(NamedTuple):
    """The next edge of B molecules: bond class, the two ends, and the class of the end atom if that is new; each (B,).

    The end is new if it equals the number of present atoms."""

    bond: Tensor
    begin: Tensor
    end: Tensor
    atom: Tensor


class EdgeNumbers(NamedTuple):
    """An `Edge` of one molecule."""

    bond: int
    begin: int
    end: int
    atom: int


class Molecules:
    """B molecules that grow: number of atoms `present` (B,), free valence (B, A) and neighbours (B, A, A)."""

    def __init__(self, vocabulary: Vocabulary, first_atom: Tensor, max_atoms: int) -> None:
        device, rows = first_atom.device, len(first_atom)
        if vocabulary.mode != "improved":
            raise ModelError("legality is known for Kekule bonds: a vocabulary in improved mode")
        orders = [0, *(int(edge.order) for edge in vocabulary.edges)]
        self.orders = torch.tensor(orders, device=device)
        self.valences = torch.tensor([max_valence(*node) for node in vocabulary.nodes], device=device)
        self.fragment = next((c for c, order in enumerate(orders) if c != STOP_CLASS and order == 0), -1)
        self.max_atoms = max_atoms
        self.present = torch.ones(rows, dtype=torch.long, device=device)
        self.free = torch.zeros(rows, max_atoms, dtype=torch.long, device=device)
        self.free[:, 0] = self.valences[first_atom]
        self.joined = torch.zeros(rows, max_atoms, max_atoms, dtype=torch.bool, device=device)

    def sound(self, edge: Edge) -> Tensor:
        """Whether each edge joins two different atoms of which only the end may be new, not yet joined, within
        `max_atoms`, and a new fragment starts with a new atom; or is a stop: (B,) bool."""
        bond, begin, end, _ = edge
        new = end == self.present
        row = torch.arange(len(bond), device=bond.device)
        joined = self.joined[row, begin, end.clamp(max=self.max_atoms - 1)] & ~new
        good = ~joined & (begin < end) & (end <= self.present) & (end < self.max_atoms)
        return (good & ((bond != self.fragment) | (new & (begin == 0)))) | (bond == STOP_CLASS)

    def fits(self, edge: Edge) -> Tensor:
        """Whether both atoms have the free valence for the bond, or it is a stop: (B,) bool."""
        bond, begin, end, atom = edge
        ends = torch.stack([begin, end.clamp(max=self.max_atoms - 1)], dim=1)
        gives, old = self.free.gather(1, ends).unbind(1)
        takes = torch.where(end == self.present, self.valences[atom], old)
        return (torch.minimum(gives, takes) >= self.orders[bond]) | (bond == STOP_CLASS)

    def mask(self, rows: Tensor, most: int) -> Tensor:
        """Which (bond class, begin, end) are possible, if any atom may be new, in the molecules `rows` (R,):
        (R, C, most, most + 1) bool. `most` is at least the number of their present atoms. Stop is left out."""
        present = self.present[rows].unsqueeze(1)
        ends = torch.arange(most + 1, device=rows.device)
        begins = ends[:-1]
        new = (ends == present) & (ends < self.max_atoms)
        old = (begins < present).unsqueeze(1) & ~self.joined[rows, :most, :most] & (begins.unsqueeze(1) < begins)
        free = (self.free[rows, :most].unsqueeze(1) >= self.orders.unsqueeze(1)) & (begins < present).unsqueeze(1)
        legal = F.pad(free.unsqueeze(2) & old.unsqueeze(1), (0, 1)) | new[:, None, None]
        legal &= free.unsqueeze(3)
        legal[:, STOP_CLASS] = False
        if self.fragment >= 0:
            legal[:, self.fragment] = new.unsqueeze(1) & (begins == 0).unsqueeze(1)
        return legal

    def takers(self) -> Tensor:
        """Which atom classes can be new at the end of a bond: (C, N) bool."""
        return self.valences >= self.orders.unsqueeze(1)

    def add(self, edge: Edge, going: Tensor) -> None:
        """Add the edges, and the atoms they bring, to the molecules that are `going` (B,) bool."""
        bond, begin, end, atom = (part[going] for part in edge)
        rows = going.nonzero()[:, 0]
        order, new = self.orders[bond], end == self.present[rows]
        self.free[rows[new], end[new]] = self.valences[atom[new]]
        self.free[rows, begin] -= order
        self.free[rows, end] -= order
        tied = order > 0
        self.joined[rows[tied], begin[tied], end[tied]] = True
        self.present[rows] += new

    def keep(self, rows: Tensor) -> None:
        """Go on with these molecules (int64 indices) alone."""
        self.present, self.free, self.joined = self.present[rows], self.free[rows], self.joined[rows]


@cache
def max_valence(element: int, charge: int) -> int:
    """The highest sum of bond orders, up to 8, that RDKit accepts at an atom, and every smaller one with it."""
    with rdBase.BlockLogs():
        return next((v - 1 for v in range(1, HIGHEST + 1) if not _accepts(element, charge, v)), HIGHEST)


def _accepts(element: int, charge: int, valence: int) -> bool:
    molecule = Chem.RWMol()
    atom = Chem.Atom(element)
    atom.SetFormalCharge(charge)
    molecule.AddAtom(atom)
    for _ in range(valence):
        molecule.AddBond(0, molecule.AddAtom(Chem.Atom(0)), Chem.BondType.SINGLE)
    return Chem.SanitizeMol(molecule, catchErrors=True) == Chem.SanitizeFlags.SANITIZE_NONE
