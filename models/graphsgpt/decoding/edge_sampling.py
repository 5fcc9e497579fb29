"""Choosing the next edge: a proposal of each head by itself, and the joint choice among what a molecule allows."""

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

# Shapes: B molecules, R of them, C bond classes (0 is stop), N atom classes, A atoms that fit.


class Scores(NamedTuple):
    """Logits of the class (B, C), first end (B, A), second end (B, A + 1) and class of a new end atom (B, N)."""

    bond: Tensor
    begin: Tensor
    end: Tensor
    atom: Tensor


class Legal(Protocol):
    """Molecules that know which edges they allow (see `legality.Molecules`); `present` (B,) counts their atoms."""

    present: Tensor

    def mask(self, rows: Tensor, most: int) -> Tensor:
        """Legal (bond class, begin, end), stop left out: (R, C, most, most + 1) bool."""
        ...

    def takers(self) -> Tensor:
        """Which atom classes can be new at the end of a bond: (C, N) bool."""
        ...


def scores(predicted: Predictions, present: Tensor, scale: float) -> Scores:
    """In float32, with the ends cut to the `present` (B,) atoms and, for the second, the next free slot, which stays
    out of reach where the codes are used up. `predicted` may hold the cosines to these codes alone."""
    assert predicted.atom is not None
    most = int(present.max())
    return Scores(
        bond=predicted.bond.float(),
        begin=begin_logits(predicted.begin, present, most, scale),
        end=end_logits(predicted.end, present, most, scale),
        atom=predicted.atom.float(),
    )


def begin_logits(cosines: Tensor, present: Tensor, most: int, scale: float) -> Tensor:
    """Logits (B, most) of the first end: one of the `present` (B,) atoms, which are no more than `most`."""
    return slots(cosines[:, :most].float(), present, scale)


def end_logits(cosines: Tensor, present: Tensor, most: int, scale: float) -> Tensor:
    """Logits (B, most + 1) of the second end: one of the `present` (B,) atoms or the next free slot, which stays out of
    reach where the codes are used up."""
    logits = slots(cosines[:, : most + 1].float(), present + 1, scale)
    return F.pad(logits, (0, most + 1 - logits.shape[1]), value=-torch.inf)


@dataclass(frozen=True, kw_only=True)
class Chooser:
    """Takes the most likely, or draws at a temperature above 0 from the `top_k` most likely (all if None)."""

    temperature: float
    top_k: int | None
    generator: torch.Generator | None

    def propose(self, scores: Scores, present: Tensor) -> tuple[Edge, Tensor]:
        """Every part by itself, and the log-probability (B,) of the edge."""
        parts = [self.choose(logits) for logits in scores]
        edge = Edge(*(choice for choice, _ in parts))
        bond, begin, end, atom = (gained for _, gained in parts)
        return edge, joint(edge, present, bond, begin + end, atom)

    def choose(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """A class (B,) from logits (B, classes), and its log-probability (B,) at temperature 1."""
        if self.temperature == 0:
            best, choice = logits.max(dim=-1)
            return choice, best - logits.logsumexp(dim=-1)
        tempered = logits
        if self.top_k is not None and self.top_k < logits.shape[-1]:
            least = logits.topk(self.top_k, dim=-1).values[:, -1:]
            tempered = logits.masked_fill(logits < least, -torch.inf)
        choice = self._draw(tempered)
        return choice, at(logits.log_softmax(dim=-1), choice)

    def repair(self, scores: Scores, molecules: Legal, rows: Tensor) -> tuple[Edge, Tensor]:
        """The most likely legal edge of the molecules `rows` (R,), or one drawn from all legal ones, and its
        log-probability; a stop where there is none."""
        logs = Scores(*(logits[rows].log_softmax(dim=-1) for logits in scores))
        present, most = molecules.present[rows], logs.begin.shape[1]
        heat = self.temperature or 1.0
        atoms = (logs.atom.unsqueeze(1) / heat).masked_fill(~molecules.takers(), -torch.inf)
        brings = atoms.amax(-1) if self.temperature == 0 else atoms.logsumexp(-1)
        joint = (logs.bond[:, :, None, None] + logs.begin[:, None, :, None] + logs.end[:, None, None]) / heat
        new = torch.arange(most + 1, device=rows.device) == present.unsqueeze(1)
        joint = joint + torch.where(new[:, None, None], brings[:, :, None, None], 0)
        joint = joint.masked_fill(~molecules.mask(rows, most), -torch.inf).flatten(1)
        stuck = joint.isneginf().all(dim=1)
        joint[stuck, 0] = 0  # class 0, stop
        best = joint.argmax(-1) if self.temperature == 0 else self._draw(joint * heat)
        bond, rest = best // (most * (most + 1)), best % (most * (most + 1))
        begin, end = rest // (most + 1), rest % (most + 1)
        chosen = atoms[torch.arange(len(rows), device=rows.device), bond]
        atom = chosen.argmax(-1) if self.temperature == 0 else self._draw(chosen * heat)
        edge = Edge(bond, begin, end, atom)
        return edge, _gained(logs, edge, present)

    def _draw(self, logits: Tensor) -> Tensor:
        weights = F.softmax(logits / self.temperature, dim=-1)
        return torch.multinomial(weights, 1, generator=self.generator)[:, 0]


@dataclass(frozen=True, kw_only=True, eq=False)
class SideBySide:
    """The next edges of B molecules with `present` (B,) atoms, from heads that know nothing of each other."""

    scores: Scores
    chooser: Chooser
    present: Tensor

    def propose(self) -> tuple[Edge, Tensor]:
        """Edges, and their log-probabilities (B,)."""
        return self.chooser.propose(self.scores, self.present)

    def given(self, edge: EdgeNumbers) -> tuple[Edge, Tensor]:
        """This edge for all molecules, and its log-probability (B,)."""
        logs = Scores(*(logits.log_softmax(dim=-1) for logits in self.scores))
        edges = Edge(*(torch.full_like(self.present, number) for number in edge))
        return edges, _gained(logs, edges, self.present)

    def repair(self, molecules: Legal, rows: Tensor) -> tuple[Edge, Tensor]:
        """As `Chooser.repair`."""
        return self.chooser.repair(self.scores, molecules, rows)


def _gained(logs: Scores, edge: Edge, present: Tensor) -> Tensor:
    ends = at(logs.begin, edge.begin) + at(logs.end, edge.end)
    return joint(edge, present, at(logs.bond, edge.bond), ends, at(logs.atom, edge.atom))


def at(values: Tensor, index: Tensor) -> Tensor:
    """values[b, index[b]] (B,)."""
    return values.gather(1, index.unsqueeze(1))[:, 0]


def joint(edge: Edge, present: Tensor, bond: Tensor, ends: Tensor, atom: Tensor) -> Tensor:
    """Log-probability of an edge: that of its class and, unless it is a stop, of its ends and of a new atom."""
    return bond + torch.where(edge.bond == STOP_CLASS, 0, ends + torch.where(edge.end == present, atom, 0))
