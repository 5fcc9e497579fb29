"""Sampling the next edge: each head by itself, and the joint choice among all edges that a molecule allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..model.heads import Predictions
from ..model.losses import slots
from ..tokens.vocabulary import STOP_CLASS
from .valence import Edge, EdgeNumbers

# Shapes: B molecules, R of them, C bond classes (0 is stop), N atom classes, A present atoms at most, E = A + 1 ends:
# the present atoms and the next free place, F = C A E edges.


class EdgeLogits(NamedTuple):
    """Logits of the class (B, C), first end (B, A), second end (B, E) and class of a new end atom (B, N)."""

    bond: Tensor
    begin: Tensor
    end: Tensor
    atom: Tensor

    def log_softmax(self) -> EdgeLogits:
        """Log-probabilities of each part."""
        return EdgeLogits(*(part.log_softmax(dim=-1) for part in self))


class LegalEdges(Protocol):
    """Molecules that know which edges they allow (see `valence.Molecules`); `present` (B,) counts their atoms."""

    present: Tensor

    def mask(self, rows: Tensor, most: int) -> Tensor:
        """Legal (bond class, begin, end), stop excluded: (R, C, A, E) bool, A = `most`."""
        ...

    def allowed_new_atoms(self) -> Tensor:
        """Which atom classes can be new at the end of a bond: (C, N) bool."""
        ...


def edge_logits(predicted: Predictions, present: Tensor, scale: float) -> EdgeLogits:
    """In float32, with the ends cut to the `present` (B,) atoms and, for the second, the next free place, which stays
    out of reach where the codes are used up. `predicted` may hold the cosines to these codes alone."""
    assert predicted.atom is not None
    most = int(present.max())
    return EdgeLogits(
        bond=predicted.bond.float(),
        begin=begin_logits(predicted.begin, present, most, scale),
        end=end_logits(predicted.end, present, most, scale),
        atom=predicted.atom.float(),
    )


def begin_logits(cosines: Tensor, present: Tensor, most: int, scale: float) -> Tensor:
    """Logits (B, A) of the first end: one of the `present` (B,) atoms, which are no more than A = `most`."""
    return slots(cosines[:, :most].float(), present, scale)


def end_logits(cosines: Tensor, present: Tensor, most: int, scale: float) -> Tensor:
    """Logits (B, E) of the second end: one of the `present` (B,) atoms or the next free place, which stays out of reach
    where the codes are used up."""
    logits_BE = slots(cosines[:, : most + 1].float(), present + 1, scale)
    return F.pad(logits_BE, (0, most + 1 - logits_BE.shape[1]), value=-torch.inf)


@dataclass(frozen=True, kw_only=True)
class EdgeSampler:
    """Takes the most likely, or draws at a temperature above 0 from the `top_k` most likely (all if None)."""

    temperature: float
    top_k: int | None
    generator: torch.Generator | None

    @property
    def greedy(self) -> bool:
        """Whether nothing is drawn."""
        return self.temperature == 0

    def sample(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """A class (B,) from logits (B, classes), and its log-probability (B,) at temperature 1."""
        if self.greedy:
            best, choice = logits.max(dim=-1)
            return choice, best - logits.logsumexp(dim=-1)
        likely = logits
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = logits.topk(self.top_k, dim=-1).values[:, -1:]
            likely = logits.masked_fill(logits < least, -torch.inf)
        choice = self._pick(likely / self.temperature)
        return choice, at(logits.log_softmax(dim=-1), choice)

    def repair(self, logits: EdgeLogits, molecules: LegalEdges, rows: Tensor) -> tuple[Edge, Tensor]:
        """The most likely legal edge of the molecules `rows` (R,), or one drawn from all legal ones, and its
        log-probability (R,); a stop where there is none. `logits` are those of all B molecules.

        The class of a new atom does not matter to the other parts, except that the bond must leave some atom possible:
        so it is summed out (or, greedy, maximised out) of the joint distribution, and chosen after the rest.
        """
        log_probs = EdgeLogits(*(part[rows] for part in logits)).log_softmax()
        present_R = molecules.present[rows]
        atom_RCN = log_probs.atom.unsqueeze(1) / self._divisor
        atom_RCN = atom_RCN.masked_fill(~molecules.allowed_new_atoms(), -torch.inf)
        joint_RCAE = self._joint(log_probs, atom_RCN, present_R)

        legal_RCAE = molecules.mask(rows, log_probs.begin.shape[1])
        joint_RF = joint_RCAE.masked_fill(~legal_RCAE, -torch.inf).flatten(1)
        stuck_R = joint_RF.isneginf().all(dim=1)
        joint_RF[stuck_R, 0] = 0  # the first edge of all has the class 0, stop
        bond_R, begin_R, end_R = unravel(self._pick(joint_RF), joint_RCAE.shape[1:])

        row_R = torch.arange(len(rows), device=rows.device)
        atom_R = self._pick(atom_RCN[row_R, bond_R])
        edge = Edge(bond_R, begin_R, end_R, atom_R)
        return edge, log_prob_of(edge, log_probs, present_R)

    def _joint(self, log_probs: EdgeLogits, atom_RCN: Tensor, present_R: Tensor) -> Tensor:
        """Logits (R, C, A, E), divided by the temperature, of the class and both ends, a new end counting all atoms
        that it can be."""
        adds_atom_RC = atom_RCN.amax(-1) if self.greedy else atom_RCN.logsumexp(-1)
        joint_RCAE = log_probs.bond[:, :, None, None] + log_probs.begin[:, None, :, None]
        joint_RCAE = (joint_RCAE + log_probs.end[:, None, None]) / self._divisor
        new_RE = torch.arange(joint_RCAE.shape[-1], device=present_R.device) == present_R.unsqueeze(1)
        return joint_RCAE + torch.where(new_RE[:, None, None], adds_atom_RC[:, :, None, None], 0)

    @property
    def _divisor(self) -> float:
        return 1.0 if self.greedy else self.temperature

    def _pick(self, logits: Tensor) -> Tensor:
        """A class (B,) from logits (B, classes) that are divided by the temperature."""
        if self.greedy:
            return logits.argmax(-1)
        chances = logits.softmax(dim=-1)
        if self.generator is not None:  # which draws on its own device alone
            chances = chances.to(self.generator.device)
        return torch.multinomial(chances, 1, generator=self.generator)[:, 0].to(logits.device)


@dataclass(frozen=True, kw_only=True, eq=False)
class IndependentEdges:
    """The next edges of B molecules, from heads that know nothing of each other."""

    logits: EdgeLogits
    sampler: EdgeSampler
    molecules: LegalEdges

    def propose(self) -> tuple[Edge, Tensor]:
        """Edges, each part sampled by itself, and their log-probabilities (B,)."""
        bond, bond_log_prob = self.sampler.sample(self.logits.bond)
        begin, begin_log_prob = self.sampler.sample(self.logits.begin)
        end, end_log_prob = self.sampler.sample(self.logits.end)
        atom, atom_log_prob = self.sampler.sample(self.logits.atom)
        edge = Edge(bond, begin, end, atom)
        return edge, joint(edge, self.molecules.present, bond_log_prob, begin_log_prob + end_log_prob, atom_log_prob)

    def given(self, edge: EdgeNumbers) -> tuple[Edge, Tensor]:
        """This edge for all molecules, and its log-probability (B,)."""
        present = self.molecules.present
        edges = Edge(*(torch.full_like(present, number) for number in edge))
        return edges, log_prob_of(edges, self.logits.log_softmax(), present)

    def repair(self, edge: Edge, rows: Tensor) -> tuple[Edge, Tensor]:
        """As `EdgeSampler.repair`, whatever the `edge` was that the molecules `rows` (R,) do not allow."""
        return self.sampler.repair(self.logits, self.molecules, rows)


def log_prob_of(edge: Edge, log_probs: EdgeLogits, present: Tensor) -> Tensor:
    """Log-probability (B,) of edges, from those of all choices."""
    ends = at(log_probs.begin, edge.begin) + at(log_probs.end, edge.end)
    return joint(edge, present, at(log_probs.bond, edge.bond), ends, at(log_probs.atom, edge.atom))


def joint(edge: Edge, present: Tensor, bond: Tensor, ends: Tensor, atom: Tensor) -> Tensor:
    """Log-probability of an edge: that of its class and, unless it is a stop, of its ends and of a new atom."""
    atom = torch.where(edge.end == present, atom, 0)
    return bond + torch.where(edge.bond == STOP_CLASS, 0, ends + atom)


def at(values: Tensor, index: Tensor) -> Tensor:
    """values[b, index[b]] (B,)."""
    return values.gather(1, index.unsqueeze(1))[:, 0]


def unravel(index: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor, Tensor]:
    """The places (R,) along the three axes of a flat index (R,) into `shape`."""
    _, middle, last = shape
    rest = index % (middle * last)
    return index // (middle * last), rest // last, rest % last
