"""The published rules of decoding, for models whose bonds name the elements of both ends (arXiv 2402.02464).

The bond class is taken (or drawn) first. Its begin is the present atom with the most similar code, its end likewise if
that similarity is above 1/2, else a new atom of the bond's other element. The first bond joins the first atom with a
new one, whatever the similarities say. Nothing is repaired: a molecule fails where the first prediction is a stop, or
an edge does not fit the elements, joins an atom with itself, repeats a bond, exceeds the atoms or, if they are checked,
the valences. Those of the first bond and of a new atom are not checked: the release does not look at them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..model.heads import Predictions
from ..model.losses import slots
from ..tokens.vocabulary import STOP_CLASS, Vocabulary
from .edge_sampling import EdgeSampler, at
from .valence import Edge

# Shapes: B molecules, R of them, C bond classes (0 is stop), N atom classes, M atoms at most, A present atoms at most.

THRESHOLD = 0.5
VALENCES = {5: 3, 6: 4, 7: 3, 8: 2, 9: 1, 14: 4, 16: 6, 17: 1, 35: 1, 53: 1}
"""The published table, by atomic number. It knows no charges. Elements that are not in it have no limit here."""
NO_LIMIT = 1_000


class StrictMolecules:
    """B molecules that grow: number of atoms `present` (B,), their classes `atoms` (B, M), which are `joined`
    (B, M, M), and the `used` valence of each (B, M) in half units, of which an aromatic bond uses three.

    `ends` (C, 2): the atom classes that a bond names, the lighter first; `halves` (C,): the half units that it uses;
    `valences` (N,). `predicted` (B,): the class that was predicted for the first atom, whatever it then became.
    """

    renames_first = False
    """Whether a first atom that the first bond does not have becomes the bond's lighter element (`name_first`)."""

    def __init__(self, vocabulary: Vocabulary, first_atom: Tensor, max_atoms: int, valence_check: bool = False) -> None:
        device = first_atom.device
        rows = len(first_atom)
        atom_class = {node.element: number for number, node in enumerate(vocabulary.nodes)}
        ends = [(-1, -1)]  # of a stop
        halves = [0]
        for edge in vocabulary.edges:
            ends.append((atom_class[edge.low], atom_class[edge.high]))
            halves.append(round(2 * edge.order))
        limits = [NO_LIMIT] * len(vocabulary.nodes)
        if valence_check:
            limits = [VALENCES.get(node.element, NO_LIMIT) for node in vocabulary.nodes]
        self.ends = torch.tensor(ends, device=device)
        self.halves = torch.tensor(halves, device=device)
        self.valences = torch.tensor(limits, device=device)
        self.max_atoms = max_atoms
        self.present = torch.ones(rows, dtype=torch.long, device=device)
        self.atoms = torch.zeros(rows, max_atoms, dtype=torch.long, device=device)
        self.atoms[:, 0] = first_atom
        self.predicted = first_atom.clone()
        self.used = torch.zeros_like(self.atoms)
        self.joined = torch.zeros(rows, max_atoms, max_atoms, dtype=torch.bool, device=device)
        self.empty = True

    @property
    def first_atom(self) -> Tensor:
        """Its class (B,), which the first bond may have changed."""
        return self.atoms[:, 0]

    @property
    def most(self) -> int:
        """A: the number of atoms of the largest molecule."""
        return min(int(self.present.max()), self.max_atoms)

    def propose(self, predicted: Predictions, sampler: EdgeSampler) -> tuple[Edge, Tensor]:
        """The next edges, and the log-probability (B,) of their classes; the similarities of ends are none."""
        bond, log_prob = sampler.sample(predicted.bond.float())
        if self.empty and self.renames_first:
            self.atoms[:, 0] = self.name_first(self.predicted, bond)
        most = self.most
        begin = slots(predicted.begin[:, :most].float(), self.present, 1.0).argmax(-1)
        similarity, nearest = slots(predicted.end[:, :most].float(), self.present, 1.0).max(-1)
        end = torch.where(similarity > THRESHOLD, nearest, self.present)
        if self.empty and not self.renames_first:
            end = self.present.clone()
        return Edge(bond, begin, end, self.other_end(at(self.atoms, begin), bond)), log_prob

    def name_first(self, atom: Tensor, bond: Tensor) -> Tensor:
        """The class of the first atom, predicted as `atom`, of molecules that begin with the class `bond`; any shapes
        that go together."""
        low, high = self.ends[bond].unbind(-1)
        return torch.where((atom != low) & (atom != high) & (bond != STOP_CLASS), low, atom)

    def other_end(self, atom: Tensor, bond: Tensor) -> Tensor:
        """The atom class that a bond names in addition to `atom`; any shapes that go together."""
        low, high = self.ends[bond].unbind(-1)
        return torch.where(atom == low, high, low)

    def is_valid_edge(self, edge: Edge) -> Tensor:
        """Whether the published rules accept each edge, or stop: (B,) bool."""
        bond, begin, end, atom = edge
        row = torch.arange(len(bond), device=bond.device)
        place = end.clamp(max=self.max_atoms - 1)  # of a new atom that has no place anything may be read
        old = end < self.present
        at_begin = self.atoms[row, begin]
        good = (at_begin.unsqueeze(1) == self.ends[bond]).any(dim=1)
        good &= ~old | (self.atoms[row, place] == atom)
        good &= (begin != end) & ~(self.joined[row, begin, place] & old) & (end < self.max_atoms)
        good &= self.have_valence(edge)
        return torch.where(bond == STOP_CLASS, not self.empty, good)

    def have_valence(self, edge: Edge) -> Tensor:
        """Whether both atoms have the valence for each bond: (B,) bool. A new atom and those of the first bond do."""
        bond, begin, end, _ = edge
        row = torch.arange(len(bond), device=bond.device)
        place = end.clamp(max=self.max_atoms - 1)
        begin_limit = 2 * self.valences[self.atoms[row, begin]]
        end_limit = 2 * self.valences[self.atoms[row, place]]
        begin_takes = self.takes(self.used[row, begin], begin_limit, bond)
        end_takes = self.takes(self.used[row, place], end_limit, bond)
        is_new = end >= self.present
        return (begin_takes & (end_takes | is_new)) | self.empty

    def takes(self, used: Tensor, limit: Tensor, bond: Tensor) -> Tensor:
        """Whether atoms that have `used` so many half units of `limit` can take a bond; any shapes that go together."""
        return self.is_free(used, limit) & ~self.exceeds(used, limit, bond)

    def is_free(self, used: Tensor, limit: Tensor) -> Tensor:
        """Whether any valence is left. The half of an odd number of aromatic bonds is forgiven."""
        return used < limit + used % 2

    def exceeds(self, used: Tensor, limit: Tensor, bond: Tensor) -> Tensor:
        """Whether the bond is too much. The half of an odd number of aromatic bonds is forgiven, and for a new aromatic
        bond another one: as a second one it fits an oxygen, or a nitrogen with a single bond, but no single bond fits a
        nitrogen with two aromatic ones. So the release has it."""
        more = self.halves[bond]
        return used + more > limit + used % 2 + more % 2

    def valence_ok(self, edge: Edge) -> Tensor:
        """`is_valid_edge` checks valences, too: (B,) bool, all true."""
        return torch.ones_like(edge.bond, dtype=torch.bool)

    def add(self, edge: Edge, active: Tensor) -> None:
        """Add the edges, and the atoms that they add, to the molecules that are `active` (B,) bool."""
        bond, begin, end, atom = (part[active] for part in edge)
        rows = active.nonzero()[:, 0]
        new = end == self.present[rows]
        self.atoms[rows[new], end[new]] = atom[new]
        self.joined[rows, begin, end] = True
        self.joined[rows, end, begin] = True
        self.used[rows, begin] += self.halves[bond]
        self.used[rows, end] += self.halves[bond]
        self.present[rows] += new
        self.empty = False

    def keep(self, rows: Tensor) -> None:
        """Go on with these molecules (int64 indices) alone."""
        self.present = self.present[rows]
        self.atoms = self.atoms[rows]
        self.joined = self.joined[rows]
        self.used = self.used[rows]
        self.predicted = self.predicted[rows]


class RepairingMolecules(StrictMolecules):
    """The same with something to put in the place of an edge that `is_valid_edge` does not accept."""

    def repair(self, predicted: Predictions, edge: Edge, sampler: EdgeSampler, rows: Tensor) -> tuple[Edge, Tensor]:
        """Other edges for the molecules `rows` (R,), of whose `edge` (of all B) none is accepted, and the
        log-probabilities (R,) of their classes. Where there is no other edge it stays as it is, or is a stop."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, eq=False)
class PublishedEdges:
    """The next edges of B molecules by the published rules, from what the heads say about them."""

    predicted: Predictions
    sampler: EdgeSampler
    molecules: StrictMolecules

    def propose(self) -> tuple[Edge, Tensor]:
        """As `StrictMolecules.propose`."""
        return self.molecules.propose(self.predicted, self.sampler)

    def repair(self, edge: Edge, rows: Tensor) -> tuple[Edge, Tensor]:
        """As `RepairingMolecules.repair`, of molecules that are such."""
        assert isinstance(self.molecules, RepairingMolecules)
        return self.molecules.repair(self.predicted, edge, self.sampler, rows)
