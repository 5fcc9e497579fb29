"""Molecules as token sequences, and batches of them (GraphsGPT, arXiv 2402.02464, section 3).

`MoleculeTokens` is int16 (4, L) with the rows `TOKEN`, `FIRST`, `SECOND`, `IS_NODE`: token id, node id 1, node id 2,
and 1 for a node or 0 for an edge. A node has the ids (i, i); an edge has (i, j), its two ends. Node ids count from 0
in order of first appearance. L = atoms + bonds, in improved mode also + the new-fragment edges. A molecule that could
not be tokenised has L = 0.

Improved mode: the first token is node 0. Each further atom j comes right after the edge (i, j), i < j, that introduces
it, i being its nearest predecessor; its other bonds to earlier atoms (i, j), smallest i first, follow before the next
atom. A new-fragment edge is (0, j). Faithful mode follows the order of the bonds: an edge goes from the lower to the
higher atom of the input, so a ring closure may have i > j; where both ends are new the first stands right before it.

Blocks: the first edge, all before it and the node after it are block 0; every later edge opens the next block. A
position may see its own block and all earlier ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MoleculeTokens = NDArray[np.int16]
TOKEN, FIRST, SECOND, IS_NODE = range(4)
PADDING_ROW = np.zeros((1, 4), dtype=np.int16)
"""What stands behind the rows of many molecules, for padding to read."""


@dataclass(frozen=True, kw_only=True)
class TokenBatch:
    """B molecules, padded on the right to the longest, L. Padding is 0 (False) in every tensor, `block` too."""

    tokens: Tensor  # int64 (B, L)
    positions: Tensor  # int64 (B, L, 2): the two node ids
    is_node: Tensor  # bool (B, L)
    mask: Tensor  # bool (B, L): True where there is a token
    lengths: Tensor  # int64 (B,)
    block: Tensor  # int64 (B, L): index of the block

    def __len__(self) -> int:
        return len(self.tokens)

    def to(self, device: torch.device | str) -> "TokenBatch":
        """The same batch on a device."""
        return TokenBatch(**{name: tensor.to(device) for name, tensor in vars(self).items()})


def collate(molecules: Sequence[MoleculeTokens]) -> TokenBatch:
    """A batch of molecules.

    Args:
        molecules: tokens of each, int16 (4, L); one of length 0 stays as a row without a token.
    """
    columns = [molecule.T for molecule in molecules]
    lengths = np.array([len(part) for part in columns], dtype=np.int64)
    rows = np.zeros((lengths.sum() + 1, 4), dtype=np.int16)
    if columns:
        np.concatenate(columns, out=rows[:-1])
    return gather(rows, lengths.cumsum() - lengths, lengths)


def gather(rows: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> TokenBatch:
    """The batch of the molecules `rows[starts[i] : starts[i] + lengths[i]]`.

    `rows` is int16 (tokens + 1, 4), contiguous, the rows of `MoleculeTokens` as columns, all molecules one after the
    other; the last row is 0, which is what padding reads.
    """
    column_L = np.arange(int(lengths.max(initial=0)))
    present_BL = column_L < lengths[:, None]
    row_BL = np.where(present_BL, starts[:, None] + column_L, len(rows) - 1)
    packed_BL = rows.view(np.int64)[:, 0].take(row_BL)  # a token's four int16 are fetched as one int64
    table_BL4 = torch.from_numpy(packed_BL.view(np.int16).reshape(*packed_BL.shape, 4)).long()
    is_node_BL = table_BL4[..., IS_NODE].bool()
    mask_BL = torch.from_numpy(present_BL)
    edges_BL = (mask_BL & ~is_node_BL).cumsum(1)
    return TokenBatch(
        tokens=table_BL4[..., TOKEN],
        positions=table_BL4[..., FIRST : SECOND + 1],
        is_node=is_node_BL,
        mask=mask_BL,
        lengths=torch.from_numpy(lengths),
        block=(edges_BL - 1).clamp_(min=0) * mask_BL,
    )
