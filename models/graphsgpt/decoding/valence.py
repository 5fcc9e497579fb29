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
from ..tokens.vocabulary import NEW_FRAGMENT, STOP_CLASS, Vocabulary

# Shapes: B molecules, R of them, C bond classes (0 is stop), N atom classes, M atoms at most, A present atoms at most,
# E = A + 1 ends: the present atoms and the next free place.

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
    """B molecules that grow: number of atoms `present` (B,), free valence (B, M) and neighbours (B, M, M)."""

    def __init__(self, vocabulary: Vocabulary, first_atom: Tensor, max_atoms: int) -> None:
        if vocabulary.mode != "improved":
            raise ModelError("valences are known for Kekule bonds: a vocabulary in improved mode")
        device = first_atom.device
        rows = len(first_atom)
        orders = [0, *(int(edge.order) for edge in vocabulary.edges)]
        self.orders = torch.tensor(orders, device=device)
        self.valences = torch.tensor([max_valence(*node) for node in vocabulary.nodes], device=device)
        self.fragment = -1  # class of the edge that starts a new fragment, if there is one
        if NEW_FRAGMENT in vocabulary.edges:
            self.fragment = 1 + vocabulary.edges.index(NEW_FRAGMENT)
        self.max_atoms = max_atoms
        self.first_atom = first_atom
        self.present = torch.ones(rows, dtype=torch.long, device=device)
        self.free = torch.zeros(rows, max_atoms, dtype=torch.long, device=device)
        self.free[:, 0] = self.valences[first_atom]
        self.joined = torch.zeros(rows, max_atoms, max_atoms, dtype=torch.bool, device=device)

    def is_valid_edge(self, edge: Edge) -> Tensor:
        """Whether each edge joins two different atoms of which only the end may be new, not yet joined, within
        `max_atoms`, and a new fragment starts with a new atom; or is a stop: (B,) bool."""
        bond, begin, end, _ = edge
        new = end == self.present
        row = torch.arange(len(bond), device=bond.device)
        joined = self.joined[row, begin, end.clamp(max=self.max_atoms - 1)] & ~new
        good = ~joined & (begin < end) & (end <= self.present) & (end < self.max_atoms)
        good &= (bond != self.fragment) | (new & (begin == 0))
        return good | (bond == STOP_CLASS)

    def valence_ok(self, edge: Edge) -> Tensor:
        """Whether both atoms have the free valence for the bond, or it is a stop: (B,) bool."""
        bond, begin, end, atom = edge
        ends_B2 = torch.stack([begin, end.clamp(max=self.max_atoms - 1)], dim=1)
        free_begin, free_old_end = self.free.gather(1, ends_B2).unbind(1)
        free_end = torch.where(end == self.present, self.valences[atom], free_old_end)
        return (torch.minimum(free_begin, free_end) >= self.orders[bond]) | (bond == STOP_CLASS)

    def mask(self, rows: Tensor, most: int) -> Tensor:
        """Which (bond class, begin, end) are possible, if any atom may be new, in the molecules `rows` (R,):
        (R, C, A, E) bool, A = `most` being at least the number of their present atoms. Stop is excluded."""
        present_R1 = self.present[rows].unsqueeze(1)
        end_E = torch.arange(most + 1, device=rows.device)
        begin_A = end_E[:-1]
        here_RA = begin_A < present_R1
        new_RE = (end_E == present_R1) & (end_E < self.max_atoms)
        # Between atoms that are there an edge goes from the lower to the higher one, so each pair counts once.
        open_RAA = here_RA.unsqueeze(1) & ~self.joined[rows, :most, :most] & (begin_A.unsqueeze(1) < begin_A)
        room_RCA = (self.free[rows, :most].unsqueeze(1) >= self.orders.unsqueeze(1)) & here_RA.unsqueeze(1)
        legal_RCAE = F.pad(room_RCA.unsqueeze(2) & open_RAA.unsqueeze(1), (0, 1)) | new_RE[:, None, None]
        legal_RCAE &= room_RCA.unsqueeze(3)
        legal_RCAE[:, STOP_CLASS] = False
        if self.fragment >= 0:  # it starts at atom 0, by convention, and needs no valence
            legal_RCAE[:, self.fragment] = new_RE.unsqueeze(1) & (begin_A == 0).unsqueeze(1)
        return legal_RCAE

    def allowed_new_atoms(self) -> Tensor:
        """Which atom classes can be new at the end of a bond: (C, N) bool."""
        return self.valences >= self.orders.unsqueeze(1)

    def add(self, edge: Edge, active: Tensor) -> None:
        """Add the edges, and the atoms that they add, to the molecules that are `active` (B,) bool."""
        bond, begin, end, atom = (part[active] for part in edge)
        rows = active.nonzero()[:, 0]
        order = self.orders[bond]
        new = end == self.present[rows]
        self.free[rows[new], end[new]] = self.valences[atom[new]]
        self.free[rows, begin] -= order
        self.free[rows, end] -= order
        tied = order > 0
        self.joined[rows[tied], begin[tied], end[tied]] = True
        self.present[rows] += new

    def keep(self, rows: Tensor) -> None:
        """Go on with these molecules (int64 indices) alone."""
        self.first_atom = self.first_atom[rows]
        self.present = self.present[rows]
        self.free = self.free[rows]
        self.joined = self.joined[rows]


@cache
def max_valence(element: int, charge: int) -> int:
    """The highest sum of bond orders, up to 8, that RDKit accepts at an atom, and every smaller one with it."""
    with rdBase.BlockLogs():
        for valence in range(1, HIGHEST + 1):
            if not _accepts(element, charge, valence):
                return valence - 1
    return HIGHEST


def _accepts(element: int, charge: int, valence: int) -> bool:
    molecule = Chem.RWMol()
    atom = Chem.Atom(element)
    atom.SetFormalCharge(charge)
    molecule.AddAtom(atom)
    for _ in range(valence):
        molecule.AddBond(0, molecule.AddAtom(Chem.Atom(0)), Chem.BondType.SINGLE)
    return Chem.SanitizeMol(molecule, catchErrors=True) == Chem.SanitizeFlags.SANITIZE_NONE
