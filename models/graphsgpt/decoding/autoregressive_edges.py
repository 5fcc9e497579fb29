"""Choosing the next edge part by part, each knowing those before it (`heads.Chain`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..model.heads import Heads
from ..tokens.vocabulary import STOP_CLASS
from .edge_sampling import Chooser, Legal, at, begin_logits, end_logits, joint
from .valence import Edge, EdgeNumbers

# Shapes: B molecules, R of them, D width, A position codes, C classes of what is chosen.

Pick = Callable[[tuple[Tensor, ...], Tensor], tuple[Tensor, Tensor]]
"""From the parts that are known, each (R,), and logits (R, C) to a class (R,) and its log-probability (R,)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ChainedEdges:
    """The next edges of B molecules with states (B, D) and `present` (B,) atoms.

    `codes` (A, code_size), of length 1, are those of these atoms and of the next free slot, unless they are used up.
    """

    heads: Heads
    chooser: Chooser
    states: Tensor
    codes: Tensor
    present: Tensor
    scale: float

    def propose(self) -> tuple[Edge, Tensor]:
        """Edges, and their log-probabilities (B,)."""
        return self._edges(slice(None), lambda known, logits: self.chooser.choose(logits))

    def given(self, edge: EdgeNumbers) -> tuple[Edge, Tensor]:
        """This edge for all molecules, and its log-probability (B,)."""

        def pick(known: tuple[Tensor, ...], logits: Tensor) -> tuple[Tensor, Tensor]:
            choice = torch.full_like(self.present, edge[len(known)])
            return choice, at(logits.log_softmax(-1), choice)

        return self._edges(slice(None), pick)

    def repair(self, molecules: Legal, rows: Tensor) -> tuple[Edge, Tensor]:
        """For the molecules `rows` (R,) edges of which each part in turn is chosen from those that can still become a
        legal edge, and their log-probabilities (R,); a stop where there is none."""
        legal, takers = molecules.mask(rows, int(self.present.max())), molecules.takers()
        new = torch.arange(legal.shape[-1], device=rows.device) == self.present[rows].unsqueeze(1)
        legal = legal & (takers.any(1)[:, None, None] | ~new[:, None, None])
        row = torch.arange(len(rows), device=rows.device)

        def pick(known: tuple[Tensor, ...], logits: Tensor) -> tuple[Tensor, Tensor]:
            match known:
                case ():
                    allowed = legal.any(3).any(2)
                    allowed[:, STOP_CLASS] = ~allowed.any(1)
                case (bond,):
                    allowed = legal[row, bond].any(2)
                case (bond, begin):
                    allowed = legal[row, bond, begin]
                case (bond, *_):
                    allowed = takers[bond]
            allowed = allowed | ~allowed.any(1, keepdim=True)  # at a stop, whatever it says
            choice, _ = self.chooser.choose(logits.masked_fill(~allowed, -torch.inf))
            return choice, at(logits.log_softmax(-1), choice)

        return self._edges(rows, pick)

    def _edges(self, rows: Tensor | slice, pick: Pick) -> tuple[Edge, Tensor]:
        states, present, most = self.states[rows], self.present[rows], int(self.present.max())
        bond, by_bond = pick((), self.heads.bond(states).float())
        cosines = self.heads.first_end(self.heads.know_bond(states, bond), self.codes)
        begin, by_begin = pick((bond,), begin_logits(cosines, present, most, self.scale))
        later = self.heads.know_begin(states, self.codes, bond, begin)
        cosines = self.heads.second_end(later, self.codes)
        end, by_end = pick((bond, begin), end_logits(cosines, present, most, self.scale))
        assert self.heads.atom is not None
        atom, by_atom = pick((bond, begin, end), self.heads.atom(later).float())
        edge = Edge(bond, begin, end, atom)
        return edge, joint(edge, present, by_bond, by_begin + by_end, by_atom)
