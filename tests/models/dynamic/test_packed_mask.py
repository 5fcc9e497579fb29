"""Masks as bits, and modules that save theirs so."""

import pytest
import torch

from sparsebench.models.dynamic.packed_mask import PackedMask, pack_mask, unpack_mask


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(1,), (8,), (9,), (3, 5, 2)])
def test_masks_as_bits(shape):
    mask = torch.rand(shape, generator=generator(5)) < 0.5
    bits = pack_mask(mask)
    assert bits.dtype == torch.uint8 and bits.numel() == -(-mask.numel() // 8)
    assert torch.equal(unpack_mask(bits, shape), mask)


def test_a_module_saves_bits_and_loads_them():
    mask = torch.rand(3, 7, generator=generator()) < 0.4
    module = PackedMask(mask)
    state = module.state_dict()
    assert list(state) == ["bits"] and state["bits"].numel() == module.mask_bytes() == 3
    again = PackedMask(torch.zeros(3, 7, dtype=torch.bool))
    again.load_state_dict(state)
    assert torch.equal(again.mask, mask)
    for found in (again.indices, torch.compile(again.indices, backend="eager", fullgraph=True)):
        true, false = found()
        assert torch.equal(true, mask.flatten().nonzero()[:, 0])
        assert torch.equal(false, (~mask).flatten().nonzero()[:, 0])
    with pytest.raises(RuntimeError, match="bits has 3 bytes, but the mask needs 1"):
        PackedMask(torch.ones(4, dtype=torch.bool)).load_state_dict(state)
    with pytest.raises(RuntimeError, match="bits"):
        again.load_state_dict({})
