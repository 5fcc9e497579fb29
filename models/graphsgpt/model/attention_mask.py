"""Which tokens see which: blocks of an edge and the atom it brings see themselves and every earlier block."""

from __future__ import annotations

import torch
from torch import Tensor

# Shapes: B molecules, L molecule tokens, K words, S = K + 1 + L.

WORD, BEGIN, PADDING = -2, -1, 1 << 14
"""Block indices of words, of the beginning of sequence, and of padding; those of molecules start from 0."""


def decoder_blocks(block: Tensor, mask: Tensor, num_words: int) -> Tensor:
    """Block index (B, S) of [words | BOS | molecule tokens] from that of the molecule tokens (B, L) and their mask."""
    head = block.new_full((len(block), num_words + 1), WORD)
    head[:, -1] = BEGIN
    return torch.cat([head, block.masked_fill(~mask, PADDING)], dim=1)


def block_causal_mask(blocks: Tensor) -> Tensor:
    """Who sees whom, (B, 1, S, S) bool, rows are queries: blocks up to its own, and no padding. Words come first, so
    that every token sees all of them, and they see each other."""
    see = (blocks.unsqueeze(1) <= blocks.unsqueeze(2)) & (blocks < PADDING).unsqueeze(1)
    return see.unsqueeze(1)
