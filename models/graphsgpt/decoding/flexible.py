"""The published flexible rules of decoding: the next best instead of a failure (arXiv 2402.02464).

Where the strict rules do not accept an edge, the bond classes are tried in turn: the chosen one, then the others from
the most likely on. The first bond takes the first class that has the first atom's element; a stop is passed over. Later
each class meets, in this order:

1. Its turn is a stop: the molecule is complete.
2. The begin is the atom with the most similar code, or, if its valence is full, the first of the next 10 most similar
   with less than *its* valence in use, whatever their elements. None: the molecule fails. The bond is too much for the
   begin: next class.
3. The end is the atom with the most similar code, if that is above 1/2. If it is full, the first of the next 10 takes
   its place, likewise. None: the molecule fails. The bond is too much for the end: next class.
4. An end above 1/2 that is neither the begin nor joined with it is joined, if both elements are those of the bond; if
   not: next class.
5. Otherwise the end is a new atom. No place for it: the molecule fails. The begin has neither element: next class.

Atoms are full, and bonds too much, only if valences are checked (`strict`). The valence that replacements are measured
by is that of the atom they stand in for, and an end whose replacement is not above 1/2 is a new atom: as the release
has it, against which all of this is tested.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..model.heads import Predictions
from ..model.losses import slots
from ..tokens.vocabulary import STOP_CLASS, Vocabulary
from .edge_sampling import EdgeSampler, at
from .strict import NO_LIMIT, THRESHOLD, RepairingMolecules
from .valence import Edge

# Shapes: R molecules, C bond classes (0 is stop), K atoms that come into question.

NEXT = 10
UNCHECKED = 2 * NO_LIMIT
"""In half units."""


class Nearest(NamedTuple):
    """The atoms taken for one end of an edge: their numbers, similarities, classes, `used` valence and the `limit` that
    they are held to, both in half units, and whether there is none that is free; each (R,)."""

    atom: Tensor
    similarity: Tensor
    kind: Tensor
    used: Tensor
    limit: Tensor
    stuck: Tensor


class Options(NamedTuple):
    """What each bond class comes to, all (R, C): begin, end and class of the end's atom; whether the search ends here,
    and whether the molecule fails with it."""

    begin: Tensor
    end: Tensor
    atom: Tensor
    decides: Tensor
    fails: Tensor


class FlexibleMolecules(RepairingMolecules):
    """B molecules that grow by the flexible rules."""

    def __init__(self, vocabulary: Vocabulary, first_atom: Tensor, max_atoms: int, valence_check: bool = False) -> None:
        super().__init__(vocabulary, first_atom, max_atoms, valence_check)
        self.repaired = torch.zeros_like(first_atom, dtype=torch.bool)

    def propose(self, predicted: Predictions, sampler: EdgeSampler) -> tuple[Edge, Tensor]:
        """As by the strict rules."""
        self.repaired = torch.zeros_like(self.present, dtype=torch.bool)
        return super().propose(predicted, sampler)

    def is_valid_edge(self, edge: Edge) -> Tensor:
        """Whether the strict rules accept each edge, or `repair` gave it: (B,) bool."""
        return super().is_valid_edge(edge) | self.repaired

    def repair(self, predicted: Predictions, edge: Edge, sampler: EdgeSampler, rows: Tensor) -> tuple[Edge, Tensor]:
        """See above; an edge stays as it is where the molecule fails."""
        proposed = Edge(*(part[rows] for part in edge))
        logits_RC = predicted.bond[rows].float()
        options = self._first_bonds(rows) if self.empty else self._bonds(predicted, rows)

        # The proposed class has the first turn, the others follow in the order of their logits.
        turn_RC = logits_RC.scatter(1, proposed.bond.unsqueeze(1), torch.inf)
        bond_R = turn_RC.masked_fill(~options.decides, -torch.inf).argmax(1)
        found_R = at(options.decides & ~options.fails, bond_R)
        taken = Edge(
            bond=torch.where(found_R, bond_R, proposed.bond),
            begin=torch.where(found_R, at(options.begin, bond_R), proposed.begin),
            end=torch.where(found_R, at(options.end, bond_R), proposed.end),
            atom=torch.where(found_R, at(options.atom, bond_R), proposed.atom),
        )
        self.repaired[rows] = found_R
        return taken, at(logits_RC.log_softmax(-1), taken.bond)

    def _first_bonds(self, rows: Tensor) -> Options:
        """All that counts is the first atom's element."""
        has_first_RC, other_RC = self._elements(self.predicted[rows])
        fails_RC = torch.full_like(has_first_RC, self.max_atoms < 2)
        return Options(
            begin=torch.zeros_like(other_RC),
            end=torch.ones_like(other_RC),
            atom=other_RC,
            decides=has_first_RC | fails_RC,
            fails=fails_RC,
        )

    def _bonds(self, predicted: Predictions, rows: Tensor) -> Options:
        """The steps 1 to 5 above, of which a class can stop at each."""
        present_R = self.present[rows]
        begin = self._nearest(predicted.begin[rows].float(), rows, above=-torch.inf)
        end = self._nearest(predicted.end[rows].float(), rows, above=THRESHOLD)
        has_begin_RC, other_RC = self._elements(begin.kind)

        # An atom that is there, if its code is similar enough; else a new one, if there is a place.
        joined_R = self.joined[rows, begin.atom, end.atom]
        joins_R = (end.similarity > THRESHOLD) & (begin.atom != end.atom) & ~joined_R
        end_R = torch.where(joins_R, end.atom, present_R)
        has_end_RC = ~joins_R.unsqueeze(1) | (end.kind.unsqueeze(1) == other_RC)
        without_place_R = ~joins_R & (present_R >= self.max_atoms)

        past_begin_RC = ~self._too_much(begin)
        past_end_RC = past_begin_RC & ~self._too_much(end)
        fails_RC = begin.stuck.unsqueeze(1) | (past_begin_RC & end.stuck.unsqueeze(1))
        fails_RC |= past_end_RC & without_place_R.unsqueeze(1)
        decides_RC = fails_RC | (past_end_RC & has_begin_RC & has_end_RC)
        decides_RC[:, STOP_CLASS] = True
        fails_RC[:, STOP_CLASS] = False
        return Options(
            begin=begin.atom.unsqueeze(1).expand_as(other_RC),
            end=end_R.unsqueeze(1).expand_as(other_RC),
            atom=other_RC,
            decides=decides_RC,
            fails=fails_RC,
        )

    def _elements(self, kind: Tensor) -> tuple[Tensor, Tensor]:
        """For atoms of class `kind` (R,): whether each bond class has it, and what is at its other end, both (R, C)."""
        low_C, high_C = self.ends.unbind(1)
        class_C = torch.arange(len(self.ends), device=kind.device)
        kind_R1 = kind.unsqueeze(1)
        return (kind_R1 == low_C) | (kind_R1 == high_C), self.other_end(kind_R1, class_C)

    def _nearest(self, similarity: Tensor, rows: Tensor, above: float) -> Nearest:
        """The most similar atoms; where they are `above` and full, the next ones that are not."""
        most = self.most
        # Beyond the nearest so many, the published code gives up as well.
        similar_RK, near_RK = slots(similarity[:, :most], self.present[rows], 1.0).topk(min(1 + NEXT, most))
        kind_RK = self.atoms[rows].gather(1, near_RK)
        used_RK = self.used[rows].gather(1, near_RK)
        limit_R1 = 2 * self.valences[kind_RK[:, :1]]
        limit_R1 = torch.where(similar_RK[:, :1] > above, limit_R1, UNCHECKED)
        free_RK = self.is_free(used_RK, limit_R1) & ~similar_RK.isneginf()
        place_R = free_RK.int().argmax(1)
        return Nearest(
            atom=at(near_RK, place_R),
            similarity=at(similar_RK, place_R),
            kind=at(kind_RK, place_R),
            used=at(used_RK, place_R),
            limit=limit_R1[:, 0],
            stuck=~free_RK.any(1),
        )

    def _too_much(self, nearest: Nearest) -> Tensor:
        """Whether each bond class exceeds the valence of the atoms, (R, C)."""
        class_C = torch.arange(len(self.ends), device=nearest.used.device)
        return self.exceeds(nearest.used.unsqueeze(1), nearest.limit.unsqueeze(1), class_C)
