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

from typing import NamedTuple

import torch
from torch import Tensor

from ..model.heads import Predictions
from ..model.losses import slots
from ..tokens.vocabulary import STOP_CLASS
from .edge_sampling import EdgeSampler, at
from .strict import THRESHOLD, RepairingMolecules
from .valence import Edge

# Shapes: B molecules, R of them, C bond classes (0 is stop), K atoms that come into question.

NEXT = 10


class Nearest(NamedTuple):
    """The K atoms whose codes are most similar, the best first: their numbers `atom` and `similarity` (R, K); and for
    each bond class (R, C, K) their atom class `kind`, whether they are `present`, and whether they `have_room`."""

    atom: Tensor
    similarity: Tensor
    kind: Tensor
    present: Tensor
    have_room: Tensor


class FlexibleMolecules(RepairingMolecules):
    """B molecules that grow by the flexible rules."""

    def repair(self, predicted: Predictions, edge: Edge, sampler: EdgeSampler, rows: Tensor) -> tuple[Edge, Tensor]:
        """See above; an edge stays as it is where the molecule fails."""
        proposed = Edge(*(part[rows] for part in edge))
        logits_RC = predicted.bond[rows].float()
        begin_RC, kind_RC, has_begin_RC = self._begins(predicted.begin[rows].float(), rows)
        end_RC, atom_RC, has_end_RC = self._ends(predicted.end[rows].float(), rows, begin_RC, kind_RC)
        good_RC = has_begin_RC & has_end_RC
        good_RC[:, STOP_CLASS] = not self.empty
        good_RC &= (proposed.bond != STOP_CLASS).unsqueeze(1)

        # The proposed class has the first turn, the others follow in the order of their logits.
        turn_RC = logits_RC.scatter(1, proposed.bond.unsqueeze(1), torch.inf)
        bond_R = turn_RC.masked_fill(~good_RC, -torch.inf).argmax(1)
        found_R = good_RC.any(1)
        taken = Edge(
            bond=torch.where(found_R, bond_R, proposed.bond),
            begin=torch.where(found_R, at(begin_RC, bond_R), proposed.begin),
            end=torch.where(found_R, at(end_RC, bond_R), proposed.end),
            atom=torch.where(found_R, at(atom_RC, bond_R), proposed.atom),
        )
        if self.empty:
            self.atoms[rows, 0] = self.name_first(self.predicted[rows], taken.bond)
        return taken, at(logits_RC.log_softmax(-1), taken.bond)

    def _begins(self, similarity: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For each bond class (R, C): the begin, the class of its atom, and whether there is one."""
        near = self._nearest(similarity, rows)
        low_C1, high_C1 = self.ends.unsqueeze(1).unbind(-1)
        suits_RCK = ((near.kind == low_C1) | (near.kind == high_C1)) & near.present
        good_RCK = _first(suits_RCK, near.have_room)
        place_RC1 = good_RCK.int().argmax(-1, keepdim=True)
        begin_RC = near.atom.unsqueeze(1).expand_as(good_RCK).gather(2, place_RC1)[..., 0]
        kind_RC = near.kind.gather(2, place_RC1)[..., 0]
        return begin_RC, kind_RC, good_RCK.any(-1)

    def _ends(self, similarity: Tensor, rows: Tensor, begin: Tensor, kind: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For each bond class (R, C): the end, its atom's class, and whether there is one, for begins with atoms of
        class `kind`."""
        near = self._nearest(similarity, rows)
        class_C = torch.arange(len(self.ends), device=rows.device)
        atom_RC = self.other_end(kind, class_C)

        # An atom that is there, if its code is similar enough.
        begin_RC1 = begin.unsqueeze(2)
        near_R1K = near.atom.unsqueeze(1)
        joined_RCK = self.joined[rows[:, None, None], begin_RC1, near_R1K]
        suits_RCK = (near.kind == atom_RC.unsqueeze(2)) & near.present & (begin_RC1 != near_R1K) & ~joined_RCK
        old_RCK = _first(suits_RCK, near.have_room)
        old_RCK &= (near.similarity[:, 0] > THRESHOLD)[:, None, None]
        place_RC1 = old_RCK.int().argmax(-1, keepdim=True)
        old_end_RC = near_R1K.expand_as(old_RCK).gather(2, place_RC1)[..., 0]
        is_old_RC = old_RCK.any(-1)

        # Else a new one.
        present_R1 = self.present[rows].unsqueeze(1)
        new_RC = (present_R1 < self.max_atoms) & self.has_room(torch.zeros_like(atom_RC), atom_RC, class_C)
        return torch.where(is_old_RC, old_end_RC, present_R1), atom_RC, is_old_RC | new_RC

    def _nearest(self, similarity: Tensor, rows: Tensor) -> Nearest:
        """The atoms that come into question, of the molecules `rows` (R,)."""
        most = self.most
        present_R = self.present[rows]
        class_C1 = torch.arange(len(self.ends), device=rows.device).unsqueeze(1)
        similar_RK, near_RK = slots(similarity[:, :most], present_R, 1.0).topk(min(1 + NEXT, most))
        kind_RCK = self.atoms[rows].gather(1, near_RK).unsqueeze(1).expand(-1, len(class_C1), -1)
        if self.empty:  # the first atom takes an element of whatever bond comes
            kind_RCK = self.name_first(self.predicted[rows, None, None], class_C1)
        used_R1K = self.used[rows].gather(1, near_RK).unsqueeze(1)
        return Nearest(
            atom=near_RK,
            similarity=similar_RK,
            kind=kind_RCK,
            present=(near_RK < present_R.unsqueeze(1)).unsqueeze(1),
            have_room=self.has_room(used_R1K, kind_RCK, class_C1),
        )


def _first(suits: Tensor, room: Tensor) -> Tensor:
    """Which of the atoms (..., K) will do: the first or, where that suits but has no room, any of the others."""
    good = suits & room
    good[..., 1:] &= (suits & ~room)[..., :1]
    return good
