"""Sampling the next edge part by part, each knowing those before it (`heads.AutoregressiveHeads`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..model.heads import Heads
from ..tokens.vocabulary import STOP_CLASS
from .edge_sampling import EdgeSampler, LegalEdges, at, begin_logits, end_logits, joint
from .valence import Edge, EdgeNumbers

# Shapes: B molecules, R of them, D width, C bond classes (0 is stop), N atom classes, A present atoms at most,
# E = A + 1 ends: the present atoms and the next free place.

Choose = Callable[..., tuple[Tensor, Tensor]]
"""`choose(logits, *known)`: from logits (R, classes) of the next part, and the parts known so far in the order bond,
begin, end, each (R,), to a class (R,) and its log-probability (R,)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AutoregressiveEdges:
    """The next edges of B molecules with states (B, D).

    `codes` (A or E, code_size), of length 1, are those of the present atoms and of the next free place, unless they are
    used up.
    """

    heads: Heads
    sampler: EdgeSampler
    molecules: LegalEdges
    states: Tensor
    codes: Tensor
    scale: float

    def propose(self) -> tuple[Edge, Tensor]:
        """Edges, and their log-probabilities (B,)."""

        def choose(logits: Tensor, *known: Tensor) -> tuple[Tensor, Tensor]:
            return self.sampler.sample(logits)

        return self._chain(slice(None), choose)

    def given(self, edge: EdgeNumbers) -> tuple[Edge, Tensor]:
        """This edge for all molecules, and its log-probability (B,)."""

        def choose(logits: Tensor, *known: Tensor) -> tuple[Tensor, Tensor]:
            choice = torch.full_like(self.molecules.present, edge[len(known)])
            return choice, at(logits.log_softmax(-1), choice)

        return self._chain(slice(None), choose)

    def repair(self, edge: Edge, rows: Tensor) -> tuple[Edge, Tensor]:
        """For the molecules `rows` (R,), which do not allow `edge`, edges of which each part in turn is chosen from
        those that can still become a legal edge, and their log-probabilities (R,); a stop where there is none."""
        legal = LegalParts.of(self.molecules, rows)

        def choose(logits: Tensor, *known: Tensor) -> tuple[Tensor, Tensor]:
            choice, _ = self.sampler.sample(logits.masked_fill(~legal.next(*known), -torch.inf))
            return choice, at(logits.log_softmax(-1), choice)

        return self._chain(rows, choose)

    def _chain(self, rows: Tensor | slice, choose: Choose) -> tuple[Edge, Tensor]:
        """Bond, first end, second end and new atom, one after the other; each head sees what was chosen before."""
        heads = self.heads
        present_R = self.molecules.present[rows]
        most = int(self.molecules.present.max())

        state_RD = self.states[rows]
        bond_R, bond_log_prob_R = choose(heads.bond(state_RD).float())

        cosine_RE = heads.first_end(heads.given_bond(state_RD, bond_R), self.codes)
        begin_logits_RA = begin_logits(cosine_RE, present_R, most, self.scale)
        begin_R, begin_log_prob_R = choose(begin_logits_RA, bond_R)

        # The second end and its atom share a state: at a new end the atom follows from the same facts.
        state_RD = heads.given_begin(state_RD, self.codes, bond_R, begin_R)
        cosine_RE = heads.second_end(state_RD, self.codes)
        end_logits_RE = end_logits(cosine_RE, present_R, most, self.scale)
        end_R, end_log_prob_R = choose(end_logits_RE, bond_R, begin_R)

        assert heads.atom is not None
        atom_R, atom_log_prob_R = choose(heads.atom(state_RD).float(), bond_R, begin_R, end_R)

        edge = Edge(bond_R, begin_R, end_R, atom_R)
        return edge, joint(edge, present_R, bond_log_prob_R, begin_log_prob_R + end_log_prob_R, atom_log_prob_R)


@dataclass(frozen=True, kw_only=True, eq=False)
class LegalParts:
    """What R molecules allow, as their heads choose it part by part.

    Attributes:
        edges: (R, C, A, E) bool: the legal (bond class, begin, end).
        atoms: (C, N) bool: the atoms that can be new at the end of each class of bond.
    """

    edges: Tensor
    atoms: Tensor

    @classmethod
    def of(cls, molecules: LegalEdges, rows: Tensor) -> LegalParts:
        """What the molecules `rows` (R,) allow."""
        edges_RCAE = molecules.mask(rows, int(molecules.present.max()))
        atoms_CN = molecules.allowed_new_atoms()
        new_RE = torch.arange(edges_RCAE.shape[-1], device=rows.device) == molecules.present[rows].unsqueeze(1)
        # A new end is legal only for a bond that some new atom can take.
        edges_RCAE = edges_RCAE & (atoms_CN.any(1)[:, None, None] | ~new_RE[:, None, None])
        return cls(edges=edges_RCAE, atoms=atoms_CN)

    def next(self, *known: Tensor) -> Tensor:
        """Which classes of the next part can still become a legal edge, given the parts that are known: (R, classes)
        bool, never none."""
        row_R = torch.arange(len(self.edges), device=self.edges.device)
        match known:
            case ():
                allowed = self.edges.any(3).any(2)
                allowed[:, STOP_CLASS] = ~allowed.any(1)
            case (bond_R,):
                allowed = self.edges[row_R, bond_R].any(2)
            case (bond_R, begin_R):
                allowed = self.edges[row_R, bond_R, begin_R]
            case _:
                allowed = self.atoms[known[0]]
        # After a stop the other parts mean nothing: anything goes.
        return allowed | ~allowed.any(1, keepdim=True)
