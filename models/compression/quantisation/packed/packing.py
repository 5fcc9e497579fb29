"""Codes of 2 to 8 bits in 32-bit words without a gap, whatever the width of a row."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Shapes: C codes of a row, W words of a row.

WORD = 32
"""Bits of a word."""


def words(codes: int, bits: int) -> int:
    """Words that hold so many codes."""
    return -(-codes * bits // WORD)


def pack(codes: Tensor, bits: int) -> Tensor:
    """Codes (..., C), integers from 0 to 2^bits - 1, as int32 (..., W): code i begins at bit i * bits of its row.

    Bits are counted from the least one of the first word; a code may begin in one word and end in the next, and each
    row begins with a word of its own. This is how `compressed-tensors` (0.19) lays out "pack-quantized" weights.

    >>> pack(torch.tensor([1, 2, 3], dtype=torch.uint8), 4)
    tensor([801], dtype=torch.int32)
    """
    count = codes.shape[-1]
    place_B = torch.arange(bits, device=codes.device, dtype=torch.uint8)
    bits_CB = (codes.to(torch.uint8).unsqueeze(-1) >> place_B) & 1
    row = F.pad(bits_CB.flatten(-2), (0, words(count, bits) * WORD - count * bits))
    # Eight bits make a byte, and four bytes are a word as memory holds it (least byte first).
    value_8 = torch.tensor([1 << place for place in range(8)], dtype=torch.uint8, device=codes.device)
    bytes_ = (row.unflatten(-1, (-1, 8)) * value_8).sum(-1, dtype=torch.uint8)
    return bytes_.contiguous().view(torch.int32)


def unpack(packed: Tensor, bits: int, count: int) -> Tensor:
    """The first `count` codes of each row of packed words, uint8 (..., C); what `pack` was given."""
    if WORD % bits == 0:
        return _unpack_whole(packed, bits)[..., :count]
    start_C = torch.arange(count, device=packed.device) * bits
    word_C = start_C // WORD
    # Two neighbouring words as one number of 64 bits hold any code; the row gets a word behind its last one.
    wide = F.pad(packed.to(torch.int64) & 0xFFFFFFFF, (0, 1))
    pair = wide[..., word_C] | (wide[..., word_C + 1] << WORD)
    return ((pair >> (start_C % WORD)) & (2**bits - 1)).to(torch.uint8)


def _unpack_whole(packed: Tensor, bits: int) -> Tensor:
    """Codes that lie within bytes: 2, 4 or 8 bits."""
    bytes_ = packed.contiguous().view(torch.uint8)
    if bits == 8:
        return bytes_
    place = torch.arange(0, 8, bits, device=packed.device, dtype=torch.uint8)
    return ((bytes_.unsqueeze(-1) >> place) & (2**bits - 1)).flatten(-2)
