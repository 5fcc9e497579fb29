"""The steps of a decoding and the tokens they wrote, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..tokens.batch import FIRST, IS_NODE, SECOND, TOKEN, MoleculeTokens
from ..tokens.vocabulary import FIRST_NODE, Vocabulary
from .valence import Edge, EdgeNumbers

# Shapes: B molecules.


class Step(NamedTuple):
    """An edge for each of the molecules `rows`, of which those that are `going` took it; `new`: it brought an atom."""

    rows: Tensor
    going: Tensor
    edge: Edge
    new: Tensor


def token_table(first_atom: Tensor, steps: Sequence[Step], vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """All tokens, int16 (B, 1 + 2 steps, 4), and which of them exist, bool (B, 1 + 2 steps), from the classes of the
    first atoms (B,) and the steps."""
    table = torch.zeros(len(first_atom), 1 + 2 * len(steps), 4, dtype=torch.int16, device=first_atom.device)
    there = torch.zeros(table.shape[:2], dtype=torch.bool, device=table.device)
    table[:, 0, TOKEN], table[:, 0, IS_NODE], there[:, 0] = (FIRST_NODE + first_atom).short(), 1, True
    for at, (rows, going, edge, new) in zip(range(1, table.shape[1], 2), steps, strict=True):
        table[rows, at, TOKEN] = (vocabulary.first_edge - 1 + edge.bond).short()
        table[rows, at, FIRST], table[rows, at, SECOND] = edge.begin.short(), edge.end.short()
        table[rows, at + 1, TOKEN] = (FIRST_NODE + edge.atom).short()
        table[rows, at + 1, FIRST] = table[rows, at + 1, SECOND] = edge.end.short()
        table[rows, at + 1, IS_NODE] = 1
        there[rows, at], there[rows, at + 1] = going, new
    return table.cpu().numpy(), there.cpu().numpy()


def edges_of(tokens: MoleculeTokens, vocabulary: Vocabulary) -> list[EdgeNumbers]:
    """The edges of tokens (4, L) in improved mode: class, both ends, and the class of the atom that the edge brings, or
    0."""
    is_node = tokens[IS_NODE].astype(bool)
    brings = np.append(is_node[1:] * (tokens[TOKEN, 1:] - FIRST_NODE), 0)
    table = np.stack([tokens[TOKEN] - vocabulary.first_edge + 1, tokens[FIRST], tokens[SECOND], brings])
    return [EdgeNumbers(*column) for column in table[:, ~is_node].T.tolist()]
