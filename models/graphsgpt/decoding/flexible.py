"""The published flexible rules of decoding: the next best instead of a failure (arXiv 2402.02464).

Where the strict rules do not accept an edge, the bond classes are tried in turn: the chosen one, then the others from
the most likely on. For each class

- begin is the present atom with the most similar code, and must have one of the bond's elements. If its valence is
  full, the first of the next 10 most similar that has room and such an element takes its place;
- end is a new atom, unless the most similar code is above 1/2 and its atom has the other element, is not the begin and
  not joined with it. If that atom is full, the first of the next 10 most similar of which the same holds and that has
  room takes its place, whatever its similarity: of orthogonal codes no more than three can be above 1/2. If none is
  there, a new atom;
- a new atom needs a place and the valence for the bond.

The first class with a begin and an end is taken, so is a stop where its turn comes; with the second edge there always
is one. A molecule fails where the first prediction is a stop or no class will do. Atoms are full only if valences are
checked. The order of the attempts is our reading of a published code that nests them in loops.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..model.heads import Predictions
from ..model.losses import slots
from ..tokens.vocabulary import STOP_CLASS
from .edge_sampling import Chooser
from .strict import THRESHOLD, RepairingMolecules
from .valence import Edge

# Shapes: B molecules, R of them, C bond classes (0 is stop), K atoms that come into question.

NEXT = 10


class FlexibleMolecules(RepairingMolecules):
    """B molecules that grow by the flexible rules."""

    def repair(self, predicted: Predictions, edge: Edge, chooser: Chooser, rows: Tensor) -> tuple[Edge, Tensor]:
        """See above; an edge stays as it is where the molecule fails."""
        first, logits = edge.bond[rows], predicted.bond[rows].float()
        begin, kind, good = self._begins(predicted.begin[rows].float(), rows)
        end, atom, reached = self._ends(predicted.end[rows].float(), rows, begin, kind)
        good &= reached
        good[:, STOP_CLASS] = not self.empty
        good &= (first != STOP_CLASS).unsqueeze(1)
        wish = logits.scatter(1, first.unsqueeze(1), torch.inf).masked_fill(~good, -torch.inf)
        bond = wish.argmax(1)
        found = good.any(1)
        options = (begin, end, atom)
        parts = [bond, *(option.gather(1, bond.unsqueeze(1))[:, 0] for option in options)]
        taken = Edge(*(torch.where(found, new, old[rows]) for new, old in zip(parts, edge, strict=True)))
        if self.empty:
            self.atoms[rows, 0] = self.name_first(self.predicted[rows], taken.bond)
        return taken, logits.log_softmax(-1).gather(1, taken.bond.unsqueeze(1))[:, 0]

    def _begins(self, similarity: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For each bond class (R, C): the begin, the class of its atom, and whether there is one."""
        near, _, kind, there, room = self._nearest(similarity, rows)
        low, high = self.ends.unsqueeze(1).unbind(-1)
        good = _first(((kind == low) | (kind == high)) & there, room)
        place = good.int().argmax(-1, keepdim=True)
        near = near.unsqueeze(1).expand_as(good)
        return near.gather(2, place)[..., 0], kind.gather(2, place)[..., 0], good.any(-1)

    def _ends(self, similarity: Tensor, rows: Tensor, begin: Tensor, kind: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For each bond class (R, C): the end, its atom's class, and whether there is one, for begins with atoms of
        class `kind`."""
        near, similar, kinds, there, room = self._nearest(similarity, rows)
        low, high = self.ends.unbind(1)
        atom, present = torch.where(kind == low, high, low), self.present[rows].unsqueeze(1)
        from_begin, to = begin.unsqueeze(2), near.unsqueeze(1)
        joined = self.joined[rows[:, None, None], from_begin, to]
        good = _first((kinds == atom.unsqueeze(2)) & there & (from_begin != to) & ~joined, room)
        good &= (similar[:, 0] > THRESHOLD)[:, None, None]
        old = to.expand_as(good).gather(2, good.int().argmax(-1, keepdim=True))[..., 0]
        is_old, classes = good.any(-1), torch.arange(len(self.ends), device=rows.device)
        fresh = (present < self.max_atoms) & self.room(torch.zeros_like(atom), atom, classes)
        return torch.where(is_old, old, present), atom, is_old | fresh

    def _nearest(self, similarity: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The most similar atoms and their similarities (R, K), and for each bond class the classes of the atoms,
        whether they are there and whether they have room (R, C, K)."""
        most = min(int(self.present.max()), self.max_atoms)
        similar, near = slots(similarity[:, :most], self.present[rows], 1.0).topk(min(1 + NEXT, most))
        classes = torch.arange(len(self.ends), device=rows.device).unsqueeze(1)
        kind = self.atoms[rows].gather(1, near).unsqueeze(1).expand(-1, len(classes), -1)
        if self.empty:
            kind = self.name_first(self.predicted[rows, None, None], classes)
        there = (near < self.present[rows].unsqueeze(1)).unsqueeze(1)
        return near, similar, kind, there, self.room(self.used[rows].gather(1, near).unsqueeze(1), kind, classes)


def _first(suits: Tensor, room: Tensor) -> Tensor:
    """Which of the atoms (..., K) will do: the first or, where that suits but has no room, any of the others."""
    good = suits & room
    good[..., 1:] &= (suits & ~room)[..., :1]
    return good
