"""The published rules of decoding, for models whose bonds name the elements of both ends (arXiv 2402.02464).

The bond class is taken (or drawn) first. Its begin is the present atom with the most similar code, its end likewise if
that similarity is above 1/2, else a new atom of the bond's other element. A first atom whose element the first bond
does not have becomes the bond's lighter element. Nothing is repaired: a molecule fails where the first prediction is a
stop, or an edge does not fit the elements, joins an atom with itself, repeats a bond or exceeds the atoms.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .choices import Chooser
from .heads import Predictions
from .legality import Edge
from .losses import slots
from .vocabulary import STOP_CLASS, Vocabulary

# Shapes: B molecules, C bond classes (0 is stop), A atoms that fit.

THRESHOLD = 0.5


class StrictMolecules:
    """B molecules that grow: number of atoms `present` (B,), their classes (B, A) and which are `joined` (B, A, A)."""

    def __init__(self, vocabulary: Vocabulary, first_atom: Tensor, max_atoms: int) -> None:
        device, rows = first_atom.device, len(first_atom)
        classes = {node.element: c for c, node in enumerate(vocabulary.nodes)}
        pairs = [(-1, -1), *((classes[edge.low], classes[edge.high]) for edge in vocabulary.edges)]
        self.ends = torch.tensor(pairs, device=device)
        self.max_atoms = max_atoms
        self.present = torch.ones(rows, dtype=torch.long, device=device)
        self.atoms = torch.zeros(rows, max_atoms, dtype=torch.long, device=device)
        self.atoms[:, 0] = first_atom
        self.joined = torch.zeros(rows, max_atoms, max_atoms, dtype=torch.bool, device=device)
        self.empty = True

    def propose(self, predicted: Predictions, chooser: Chooser) -> tuple[Edge, Tensor]:
        """The next edges, and the log-probability (B,) of their classes; the similarities of ends are none."""
        bond, log_prob = chooser.choose(predicted.bond.float())
        low, high = self.ends[bond].unbind(1)
        if self.empty:
            first = self.atoms[:, 0]
            strange = (first != low) & (first != high) & (bond != STOP_CLASS)
            self.atoms[:, 0] = torch.where(strange, low, first)
        most = min(int(self.present.max()), self.max_atoms)
        begin = slots(predicted.begin[:, :most].float(), self.present, 1.0).argmax(-1)
        similarity, old = slots(predicted.end[:, :most].float(), self.present, 1.0).max(-1)
        end = torch.where(similarity > THRESHOLD, old, self.present)
        at_begin = self.atoms.gather(1, begin.unsqueeze(1))[:, 0]
        return Edge(bond, begin, end, torch.where(at_begin == low, high, low)), log_prob

    def sound(self, edge: Edge) -> Tensor:
        """Whether the published rules accept each edge, or stop: (B,) bool."""
        bond, begin, end, atom = edge
        row = torch.arange(len(bond), device=bond.device)
        at = end.clamp(max=self.max_atoms - 1)
        at_begin, old = self.atoms[row, begin], end < self.present
        fits = (at_begin.unsqueeze(1) == self.ends[bond]).any(dim=1) & (~old | (self.atoms[row, at] == atom))
        good = fits & (begin != end) & ~(self.joined[row, begin, at] & old) & (end < self.max_atoms)
        return torch.where(bond == STOP_CLASS, not self.empty, good)

    def fits(self, edge: Edge) -> Tensor:
        """Valences are not looked after: (B,) bool, all true."""
        return torch.ones_like(edge.bond, dtype=torch.bool)

    def add(self, edge: Edge, going: Tensor) -> None:
        """Add the edges, and the atoms they bring, to the molecules that are `going` (B,) bool."""
        _, begin, end, atom = (part[going] for part in edge)
        rows = going.nonzero()[:, 0]
        new = end == self.present[rows]
        self.atoms[rows[new], end[new]] = atom[new]
        self.joined[rows, begin, end] = self.joined[rows, end, begin] = True
        self.present[rows] += new
        self.empty = False

    def keep(self, rows: Tensor) -> None:
        """Go on with these molecules (int64 indices) alone."""
        self.present, self.atoms, self.joined = self.present[rows], self.atoms[rows], self.joined[rows]
