"""What comes out of decoding: how far each molecule has come, its tokens, and the molecule itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from rdkit import Chem
from torch import Tensor

from ...errors import ModelError
from ..tokens.batch import FIRST, IS_NODE, SECOND, TOKEN, MoleculeTokens
from ..tokens.detokenize import Aromatic, to_molecule
from ..tokens.vocabulary import FIRST_NODE, STOP_CLASS, Vocabulary
from .config import DecodingConfig
from .valence import Edge, EdgeNumbers

# Shapes: N molecules, B of them that are still in the batch, T steps, L tokens of one molecule.

Status = Literal["complete", "truncated", "invalid"]


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A molecule as tokens (4, L), its log-likelihood given the words, and how it ended.

    `illegal`: edges that were proposed and not allowed, repaired if the decoding was constrained or flexible, and
    bonds written as aromatic that are not aromatic in `molecule`. "complete" means that the model said stop, or had no
    legal edge left; "truncated" that a limit was reached.

    `molecule`: the sanitised molecule, whose atoms have the tokens' node ids. Faithful tokens cannot say what a repair
    of aromatic bonds changed, so it is there in faithful mode where there was one: constrained or with `fix_aromatic`,
    unless the molecule is "invalid".
    """

    tokens: MoleculeTokens
    log_prob: float
    status: Status
    illegal: int
    molecule: Chem.Mol | None = None


class Step(NamedTuple):
    """An edge for each of the molecules `rows` (B,), of which those that are `active` (B,) took it; `new` (B,): it
    added an atom."""

    rows: Tensor
    active: Tensor
    edge: Edge
    new: Tensor


class Progress:
    """How far N molecules have come, from the classes of their first atoms (N,) and the log-probabilities (N,) of these
    on.

    `rows` (B,) are the molecules that are still in the batch; all that a turn says is about these.
    """

    def __init__(self, first_atom: Tensor, log_prob: Tensor) -> None:
        self.first_atom = first_atom
        self.log_prob = log_prob
        self.rows = torch.arange(len(first_atom), device=first_atom.device)
        self.illegal = torch.zeros_like(self.rows)
        self.invalid = torch.zeros_like(self.rows, dtype=torch.bool)
        self.stopped = torch.zeros_like(self.invalid)
        self.steps: list[Step] = []

    def turn(self, edge: Edge, log_prob: Tensor, active: Tensor, failed: Tensor) -> Tensor:
        """Note the chosen edges of the molecules that were `active` (B,) and the edges' log-probabilities (B,); which
        molecules go on (B,): not those that have `failed` (B,), nor those that stop."""
        stop = edge.bond == STOP_CLASS
        active = active & ~failed
        self.invalid[self.rows] |= failed
        self.log_prob[self.rows] += log_prob.where(active, 0)
        self.stopped[self.rows] |= active & stop
        return active & ~stop

    def decoded(self, vocabulary: Vocabulary) -> list[Decoded]:
        """All N molecules, in order."""
        table, there = token_table(self.first_atom, self.steps, vocabulary)
        log_probs = self.log_prob.tolist()
        illegal = self.illegal.tolist()
        found = []
        for row, status in enumerate(self._status()):
            tokens = np.ascontiguousarray(table[row, there[row]].T)
            found.append(Decoded(tokens=tokens, log_prob=log_probs[row], status=status, illegal=illegal[row]))
        return found

    def _status(self) -> list[Status]:
        result: list[Status] = []
        for invalid, stopped in zip(self.invalid.tolist(), self.stopped.tolist(), strict=True):
            if invalid:
                result.append("invalid")
            else:
                result.append("complete" if stopped else "truncated")
        return result


def token_table(first_atom: Tensor, steps: Sequence[Step], vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """All tokens, int16 (N, 1 + 2 T, 4), and which of them exist, bool (N, 1 + 2 T), from the classes of the first
    atoms (N,) and the steps: each step has a column for its edge and one for an atom that this may add."""
    table = torch.zeros(len(first_atom), 1 + 2 * len(steps), 4, dtype=torch.int16, device=first_atom.device)
    there = torch.zeros(table.shape[:2], dtype=torch.bool, device=table.device)
    table[:, 0, TOKEN] = (FIRST_NODE + first_atom).short()
    table[:, 0, IS_NODE] = 1
    there[:, 0] = True
    for turn, (rows, active, edge, new) in enumerate(steps):
        column = 1 + 2 * turn
        end = edge.end.short()
        # Both columns are written, whether they exist or not: which do is a tensor, so that no number has to leave the
        # device before all steps are in the table.
        table[rows, column, TOKEN] = (vocabulary.first_edge - 1 + edge.bond).short()
        table[rows, column, FIRST] = edge.begin.short()
        table[rows, column, SECOND] = end
        there[rows, column] = active
        table[rows, column + 1, TOKEN] = (FIRST_NODE + edge.atom).short()
        table[rows, column + 1, FIRST] = end
        table[rows, column + 1, SECOND] = end
        table[rows, column + 1, IS_NODE] = 1
        there[rows, column + 1] = new
    return table.cpu().numpy(), there.cpu().numpy()


def edges_of(tokens: MoleculeTokens, vocabulary: Vocabulary) -> list[EdgeNumbers]:
    """The edges of tokens (4, L) in improved mode: class, both ends, and the class of the atom that the edge adds, or 0
    for a ring closure."""
    columns = tokens.T.tolist()
    edges = []
    for place, column in enumerate(columns):
        if column[IS_NODE]:
            continue
        bond = column[TOKEN] - vocabulary.first_edge + 1
        atom = 0
        if place + 1 < len(columns) and columns[place + 1][IS_NODE]:  # the atom that an edge adds comes next
            atom = columns[place + 1][TOKEN] - FIRST_NODE
        edges.append(EdgeNumbers(bond, column[FIRST], column[SECOND], atom))
    return edges


def finish(decoded: Decoded, vocabulary: Vocabulary, config: DecodingConfig) -> Decoded:
    """The same with its `molecule`, and with the bonds that lost their aromaticity among the `illegal` ones.

    For a decoding in faithful mode: constrained, aromatic bonds are repaired to the last; else as published. The
    molecule is "invalid", and not there, if RDKit does not sanitise the result."""
    if decoded.status == "invalid":
        return decoded
    aromatic: Aromatic = "completed" if config.constrained else "fixed"
    try:
        molecule = to_molecule(decoded.tokens, vocabulary, aromatic)
    except ModelError:
        return dataclasses.replace(decoded, status="invalid")
    illegal = decoded.illegal + _lost(decoded.tokens, vocabulary, molecule)
    return dataclasses.replace(decoded, molecule=molecule, illegal=illegal)


def _lost(tokens: MoleculeTokens, vocabulary: Vocabulary, molecule: Chem.Mol) -> int:
    """How many bonds are written as aromatic and are not aromatic in the molecule."""
    lost = 0
    for row in tokens.T.tolist():
        if row[IS_NODE] or vocabulary.edges[row[TOKEN] - vocabulary.first_edge].order != 1.5:
            continue
        lost += not molecule.GetBondBetweenAtoms(row[FIRST], row[SECOND]).GetIsAromatic()
    return lost
