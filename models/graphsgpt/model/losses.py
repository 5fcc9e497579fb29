"""What the decoder should predict, and the losses (arXiv 2402.02464)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..tokens.batch import TokenBatch
from ..tokens.vocabulary import FIRST_NODE
from .configuration import GraphsGPTConfig
from .heads import Predictions

# Shapes: B molecules, L tokens, S = 1 + L places of BOS and the tokens, or of the tokens and a stop, N states that
# predict, M molecules with at least one token, A codes.

NONE = -1
"""Target where there is nothing to predict."""


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Per state that predicts: BOS and edges, in the order of the tokens, molecule after molecule."""

    read: Tensor  # bool (B, 1 + L): which states these are, of BOS and the molecule's tokens
    bond: Tensor  # (N,) class of the next edge, 0 = stop
    begin: Tensor  # (N,) node id of its first end, NONE at a stop
    end: Tensor  # (N,) node id of its second end; the number of present atoms if that is new
    present: Tensor  # (N,) atoms that are there before the edge, the first atom included
    atom: Tensor  # (N,) class of a new end atom, else NONE
    first_atom: Tensor  # (M,) class of the first atom


def targets(batch: TokenBatch, num_atoms: int) -> Targets:
    """The targets of a batch, of which `num_atoms` is the number of atom classes. Empty molecules have none.

    BOS and every edge predict the edge that comes next, the last of them a stop. So the states that predict are BOS and
    the edges of [BOS | tokens], and what they predict are the edges and the stop of [tokens | stop]: as many, in the
    same order, which lets two masks pair them without an index.
    """
    is_edge_BL = batch.mask & ~batch.is_node
    not_empty_B1 = batch.mask.any(dim=1, keepdim=True)
    predicts_BS = torch.cat([not_empty_B1, is_edge_BL], dim=1)
    predicted_BS = torch.cat([is_edge_BL, not_empty_B1], dim=1)

    def pick(values_BL: Tensor, at_stop: int) -> Tensor:
        """The values (N,) of the edges that are predicted, and `at_stop` at each stop."""
        return F.pad(values_BL, (0, 1), value=at_stop)[predicted_BS]

    bond_BL = batch.tokens - (FIRST_NODE + num_atoms) + 1  # class 0 is stop
    begin_BL, end_BL = batch.positions.unbind(-1)
    present_BL = (batch.mask & batch.is_node).cumsum(1)
    # An end that equals the number of present atoms is new, and its atom is the token right after the edge.
    next_atom_BL = F.pad(batch.tokens[:, 1:], (0, 1)) - FIRST_NODE
    atom_BL = next_atom_BL.where(end_BL == present_BL, NONE)
    return Targets(
        read=predicts_BS,
        bond=pick(bond_BL, 0),
        begin=pick(begin_BL, NONE),
        end=pick(end_BL, NONE),
        present=pick(present_BL, NONE),
        atom=pick(atom_BL, NONE),
        first_atom=batch.tokens[not_empty_B1[:, 0], :1].flatten() - FIRST_NODE,
    )


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Scalars; `atom` is None without that head."""

    bond: Tensor
    first_atom: Tensor
    connection: Tensor
    atom: Tensor | None

    @property
    def total(self) -> Tensor:
        """Their sum."""
        parts = [self.bond, self.first_atom, self.connection, self.atom]
        return torch.stack([part for part in parts if part is not None]).sum()


def losses(
    predicted: Predictions, first_atom: Tensor, target: Targets, codes: Tensor, config: GraphsGPTConfig
) -> Losses:
    """Means over the batch: cross-entropy of bonds (stops included), of first atoms, of new end atoms, and the
    connection loss that `config` names. `first_atom`: logits (M, atoms); `codes` (A, code_size)."""
    if config.connection_loss == "contrastive":
        connection = contrastive_loss(predicted, target, codes)
    else:
        connection = connection_cross_entropy(predicted, target, config.connection_scale)
    return Losses(
        bond=F.cross_entropy(predicted.bond, target.bond),
        first_atom=F.cross_entropy(first_atom, target.first_atom),
        connection=connection,
        atom=None if predicted.atom is None else _masked(predicted.atom, target.atom),
    )


def contrastive_loss(predicted: Predictions, target: Targets, codes: Tensor) -> Tensor:
    """1 - the mean cosine of both ends to their codes, + the mean |cosine| between different codes.

    The codes (A, code_size) of the second term are those of the atoms of the largest molecule of the batch: the others
    are not in use there, and are not pushed apart.
    """
    edge = target.begin != NONE
    ends = ((predicted.begin, target.begin), (predicted.end, target.end))
    right = torch.cat([cosines[edge].gather(1, ids[edge].unsqueeze(1)) for cosines, ids in ends])
    return (1 - right).sum() / max(1, len(right)) + _mean_cosine_between(codes[: _most_atoms(target)])


def _most_atoms(target: Targets) -> int:
    """Atoms of the batch's largest molecule: each but the first is the end of an edge, and the first is its own."""
    last = torch.cat([target.begin, target.end, target.end.new_zeros(1)]).max()
    return int(last) + 1


def _mean_cosine_between(codes: Tensor) -> Tensor:
    """Mean |cosine| of two different rows; 0 if there is but one."""
    count = len(codes)
    codes = F.normalize(codes, dim=-1)
    total = (codes @ codes.T).abs().sum() - count
    return total / max(1, count * (count - 1))


def connection_cross_entropy(predicted: Predictions, target: Targets, scale: float) -> Tensor:
    """Cross-entropy of the first end over the present atoms, + of the second end over these and the next free slot;
    logits are `scale` times the cosines."""
    begin = _masked(slots(predicted.begin, target.present, scale), target.begin)
    return begin + _masked(slots(predicted.end, target.present + 1, scale), target.end)


def slots(cosines: Tensor, allowed: Tensor, scale: float) -> Tensor:
    """Logits (N, A) of position codes from cosines; only the first `allowed` (N,) codes can be chosen."""
    code = torch.arange(cosines.shape[1], device=cosines.device)
    return (scale * cosines).masked_fill(code >= allowed.unsqueeze(1), -torch.inf)


def _masked(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy over the rows that have a target; 0 if none has."""
    there = target != NONE
    return F.cross_entropy(logits[there], target[there], reduction="sum") / there.sum().clamp(min=1)
