"""The published rules of decoding, for models whose bonds name the elements of both ends (arXiv 2402.02464).

The bond class is taken (or drawn) first. Its begin is the present atom with the most similar code, its end likewise if
that similarity is above 1/2, else a new atom of the bond's other element. A first atom whose element the first bond
does not have becomes the bond's lighter element. Nothing is repaired: a molecule fails where the first prediction is a
stop, or an edge does not fit the elements, joins an atom with itself, repeats a bond, exceeds the atoms or, if they are
checked, the valences.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..model.heads import Predictions
from ..model.losses import slots
from ..tokens.vocabulary import STOP_CLASS, Vocabulary
from .edge_sampling import Chooser
from .valence import Edge

# Shapes: B molecules, C bond classes (0 is stop), A atoms that fit.

THRESHOLD = 0.5
VALENCES = {5: 3, 6: 4, 7: 3, 8: 2, 9: 1, 14: 4, 16: 6, 17: 1, 35: 1, 53: 1}
"""The published table, by atomic number. It knows no charges and not the oxygen of furan or the substituted nitrogen of
pyrrole, whose two aromatic bonds count 3. Elements that are not in it have no limit here."""
NO_LIMIT = 1_000


class StrictMolecules:
    """B molecules that grow: number of atoms `present` (B,), their classes (B, A), which are `joined` (B, A, A), and
    the `used` valence of each (B, A) in half units. An aromatic bond uses three, an odd half is forgiven."""

    def __init__(self, vocabulary: Vocabulary, first_atom: Tensor, max_atoms: int, valence_check: bool = False) -> None:
        device, rows = first_atom.device, len(first_atom)
        classes = {node.element: c for c, node in enumerate(vocabulary.nodes)}
        pairs = [(-1, -1), *((classes[edge.low], classes[edge.high]) for edge in vocabulary.edges)]
        limits = [VALENCES.get(node.element, NO_LIMIT) if valence_check else NO_LIMIT for node in vocabulary.nodes]
        self.ends = torch.tensor(pairs, device=device)
        self.halves = torch.tensor([0, *(round(2 * edge.order) for edge in vocabulary.edges)], device=device)
        self.valences = torch.tensor(limits, device=device)
        self.max_atoms = max_atoms
        self.present = torch.ones(rows, dtype=torch.long, device=device)
        self.atoms = torch.zeros(rows, max_atoms, dtype=torch.long, device=device)
        self.atoms[:, 0] = first_atom
        self.predicted = first_atom.clone()
        self.used = torch.zeros_like(self.atoms)
        self.joined = torch.zeros(rows, max_atoms, max_atoms, dtype=torch.bool, device=device)
        self.empty = True

    def propose(self, predicted: Predictions, chooser: Chooser) -> tuple[Edge, Tensor]:
        """The next edges, and the log-probability (B,) of their classes; the similarities of ends are none."""
        bond, log_prob = chooser.choose(predicted.bond.float())
        low, high = self.ends[bond].unbind(1)
        if self.empty:
            self.atoms[:, 0] = self.name_first(self.predicted, bond)
        most = min(int(self.present.max()), self.max_atoms)
        begin = slots(predicted.begin[:, :most].float(), self.present, 1.0).argmax(-1)
        similarity, old = slots(predicted.end[:, :most].float(), self.present, 1.0).max(-1)
        end = torch.where(similarity > THRESHOLD, old, self.present)
        at_begin = self.atoms.gather(1, begin.unsqueeze(1))[:, 0]
        return Edge(bond, begin, end, torch.where(at_begin == low, high, low)), log_prob

    def name_first(self, atom: Tensor, bond: Tensor) -> Tensor:
        """The class of the first atom, predicted as `atom`, of molecules that begin with the class `bond`; any shapes
        that go together."""
        low, high = self.ends[bond].unbind(-1)
        return torch.where((atom != low) & (atom != high) & (bond != STOP_CLASS), low, atom)

    def sound(self, edge: Edge) -> Tensor:
        """Whether the published rules accept each edge, or stop: (B,) bool."""
        bond, begin, end, atom = edge
        row = torch.arange(len(bond), device=bond.device)
        at = end.clamp(max=self.max_atoms - 1)
        at_begin, old = self.atoms[row, begin], end < self.present
        fits = (at_begin.unsqueeze(1) == self.ends[bond]).any(dim=1) & (~old | (self.atoms[row, at] == atom))
        good = fits & (begin != end) & ~(self.joined[row, begin, at] & old) & (end < self.max_atoms)
        good &= self.room(self.used[row, begin], at_begin, bond) & self.room(self.used[row, at] * old, atom, bond)
        return torch.where(bond == STOP_CLASS, not self.empty, good)

    def room(self, used: Tensor, atom: Tensor, bond: Tensor) -> Tensor:
        """Whether atoms of class `atom` that have `used` so many half units have room for a bond; any shapes that go
        together."""
        return (used + self.halves[bond]) // 2 <= self.valences[atom]

    def fits(self, edge: Edge) -> Tensor:
        """There are no rules beside those of `sound`: (B,) bool, all true."""
        return torch.ones_like(edge.bond, dtype=torch.bool)

    def add(self, edge: Edge, going: Tensor) -> None:
        """Add the edges, and the atoms they bring, to the molecules that are `going` (B,) bool."""
        bond, begin, end, atom = (part[going] for part in edge)
        rows = going.nonzero()[:, 0]
        new = end == self.present[rows]
        self.atoms[rows[new], end[new]] = atom[new]
        self.joined[rows, begin, end] = self.joined[rows, end, begin] = True
        self.used[rows, begin] += self.halves[bond]
        self.used[rows, end] += self.halves[bond]
        self.present[rows] += new
        self.empty = False

    def keep(self, rows: Tensor) -> None:
        """Go on with these molecules (int64 indices) alone."""
        self.present, self.atoms, self.joined = self.present[rows], self.atoms[rows], self.joined[rows]
        self.used, self.predicted = self.used[rows], self.predicted[rows]


class RepairingMolecules(StrictMolecules):
    """The same with something to put in the place of an edge that `sound` does not accept."""

    def repair(self, predicted: Predictions, edge: Edge, chooser: Chooser, rows: Tensor) -> tuple[Edge, Tensor]:
        """Other edges for the molecules `rows` (R,), of whose `edge` (of all B) none is accepted, and the
        log-probabilities (R,) of their classes. Where there is no other edge it stays as it is, or is a stop."""
        raise NotImplementedError
