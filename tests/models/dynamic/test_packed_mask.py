"""Masks as bits, and modules that save theirs so."""

import pytest
import torch

from sparsebench.models.dynamic.packed_mask import PackedMask, pack_mask, unpack_mask
from sparsebench.models.errors import ModelError


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
    nowhere = PackedMask(torch.zeros(3, 7, dtype=torch.bool)).to("meta")
    nowhere.load_state_dict(state, assign=True)
    assert torch.equal(nowhere.mask, mask) and nowhere.entries == module.entries


def test_bits_that_somebody_else_put_there():
    mask = torch.rand(3, 7, generator=generator()) < 0.4
    module = PackedMask(mask.flip(0))
    module.bits = pack_mask(mask)
    module.read_bits("it")
    assert torch.equal(module.mask, mask)
    module.bits = pack_mask(~mask)
    with pytest.raises(ModelError, match=r"mask of it has not \d+ entries: the folder is damaged"):
        module.read_bits("it")
    with pytest.raises(ModelError, match="was not read into memory"):
        module.to("meta").read_bits("it")
