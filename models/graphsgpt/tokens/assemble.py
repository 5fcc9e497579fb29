"""Kekule molecules to rows of tokens, a whole chunk at once, without a loop over atoms or bonds."""

from collections.abc import Sequence

import numpy as np

from .batch import FIRST, IS_NODE, PADDING_ROW, SECOND, TOKEN
from .vocabulary import NEW_FRAGMENT, EdgeType, Vocabulary


def assemble(
    atoms: Sequence[Sequence[int]], orders: Sequence[np.ndarray], vocabulary: Vocabulary
) -> tuple[np.ndarray, np.ndarray]:
    """Rows, int16 (tokens + 1, 4), of all molecules one after the other and a last row of 0; and lengths, int64 (M,).

    `atoms` are node tokens and `orders` bond orders (n, n), per molecule, in canonical order; the order of the tokens
    is that of `MoleculeTokens` in improved mode.
    """
    sizes = np.array([len(molecule) for molecule in atoms], dtype=np.int64)
    if not len(sizes):
        return PADDING_ROW, sizes
    starts = sizes.cumsum() - sizes
    first = np.zeros(sizes.sum(), dtype=bool)
    first[starts] = True
    number = np.arange(len(first)) - starts.repeat(sizes)
    later, earlier, order = _bonds(orders, sizes, starts)

    bonds = np.bincount(later, minlength=len(first))  # to earlier atoms
    tokens = 1 + np.maximum(bonds, ~first)  # the atom, and the edges that end in it
    begin = tokens.cumsum() - tokens
    node = begin + ~first
    rank = np.arange(len(later)) - (bonds.cumsum() - bonds)[later]
    introduces = rank == bonds[later] - 1  # the bond to the nearest predecessor
    edge = np.where(introduces, begin[later], node[later] + 1 + rank)
    fragment = (bonds == 0) & ~first

    rows = np.zeros((tokens.sum() + 1, 4), dtype=np.int16)
    rows[node, TOKEN] = np.concatenate([np.asarray(molecule, dtype=np.int16) for molecule in atoms])
    rows[node, FIRST] = number
    rows[node, SECOND] = number
    rows[node, IS_NODE] = 1
    rows[edge, TOKEN] = _edge_tokens(vocabulary)[order]
    rows[edge, FIRST] = earlier
    rows[edge, SECOND] = number[later]
    rows[begin[fragment], TOKEN] = vocabulary.edge_ids[NEW_FRAGMENT]
    rows[begin[fragment], SECOND] = number[fragment]
    return rows, np.add.reduceat(tokens, starts)


def _edge_tokens(vocabulary: Vocabulary) -> np.ndarray:
    """The token of a bond of each order; 0 for order 0."""
    tokens = [0]
    for order in (1, 2, 3):
        tokens.append(vocabulary.edge_ids[EdgeType(0, 0, order)])
    return np.array(tokens)


def _bonds(
    orders: Sequence[np.ndarray], sizes: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Later atom (counted over all molecules), earlier atom (in its molecule) and order of each bond.

    Sorted by the later atom, then by the earlier one.
    """
    flat = np.concatenate([matrix.ravel() for matrix in orders])
    cell = (flat != 0).nonzero()[0]
    squares = sizes**2
    corners = squares.cumsum() - squares
    molecule = corners.searchsorted(cell, side="right") - 1
    later, earlier = np.divmod(cell - corners[molecule], sizes[molecule])
    lower = earlier < later  # each bond stands in its matrix twice
    later_of_all = starts[molecule] + later
    return later_of_all[lower], earlier[lower], flat[cell[lower]].astype(np.int64)
