"""Packing of codes: every number of bits, odd widths, the layout bit by bit, and no wasted word."""

import pytest
import torch

from sparsebench.models.compression.quantisation.packed.packing import pack, unpack, words


def test_codes_come_back(subtests: pytest.Subtests) -> None:
    for count in [1, 2, 5, 31, 32, 33, 64, 100]:
        for bits in range(2, 9):
            with subtests.test(count=count, bits=bits):
                generator = torch.Generator().manual_seed(bits * 1000 + count)
                codes = torch.randint(0, 2**bits, (2, 3, count), generator=generator, dtype=torch.uint8)
                packed = pack(codes, bits)
                assert packed.dtype == torch.int32 and packed.shape == (2, 3, words(count, bits))
                assert torch.equal(unpack(packed, bits, count), codes)


@pytest.mark.parametrize("bits", [3, 4, 5, 8])
def test_code_i_begins_at_bit_i_times_bits(bits: int) -> None:
    """As one long number, built with Python's integers."""
    codes = torch.randint(0, 2**bits, (1, 37), generator=torch.Generator().manual_seed(bits), dtype=torch.uint8)
    number = 0
    for place, code in enumerate(codes[0].tolist()):
        number |= code << (place * bits)
    found = 0
    for place, word in enumerate(pack(codes, bits)[0].tolist()):
        found |= (word & 0xFFFFFFFF) << (place * 32)
    assert found == number


def test_words_have_no_gap_but_at_the_end_of_a_row() -> None:
    assert words(32, 3) == 3 and words(33, 3) == 4 and words(8, 4) == 1 and words(9, 4) == 2


def test_all_ones_use_the_sign_bit() -> None:
    codes = torch.full((1, 8), 15, dtype=torch.uint8)
    assert pack(codes, 4).tolist() == [[-1]] and torch.equal(unpack(pack(codes, 4), 4, 8), codes)
