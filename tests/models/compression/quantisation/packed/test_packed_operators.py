"""Operators on packed weights: which parts and copies stay packed; all others are those of the dense weight."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.compression.quantisation.packed.packed_tensor import PackedTensor

from ..models import GRIDS, stack

PACKED_PARTS: dict[str, Callable[[Tensor], Tensor]] = {
    "one expert": lambda w: w[1],
    "the last expert": lambda w: w[-1],
    "some experts": lambda w: w[torch.tensor([2, 0])],
    "a run of experts": lambda w: w[1:],
    "half of the rows": lambda w: w[0].chunk(2)[1],
    "every second row": lambda w: w[0][::2],
    "transposed": lambda w: w.transpose(1, 2),
    "one transposed": lambda w: w[2].t(),
    "by the T of numpy": lambda w: w[2].T,
    "unbound": lambda w: w.unbind()[1],
    "selected": lambda w: w.index_select(0, torch.tensor([1, 1])),
    "a copy": lambda w: w.clone(),
    "detached": lambda w: w.detach(),
    "half precision": lambda w: w.to(torch.bfloat16),
}


@pytest.mark.parametrize("part", PACKED_PARTS.values(), ids=PACKED_PARTS)
def test_these_parts_stay_packed(part: Callable[[Tensor], Tensor]) -> None:
    for grid in GRIDS:
        packed, dense = stack(grid)
        found = part(packed)
        assert isinstance(found, PackedTensor) and found.shape == part(dense).shape
        if found.dtype == dense.dtype:
            assert torch.equal(found.dense(), part(dense))
        else:
            torch.testing.assert_close(found.dense(), part(dense), atol=0, rtol=2e-2)


OTHER_PARTS: dict[str, Callable[[Tensor], Tensor]] = {
    "columns": lambda w: w[:, :, 1:3],
    "an entry": lambda w: w[1, 2, 3],
    "a row": lambda w: w[1, 2],
    "experts last": lambda w: w.permute(1, 2, 0),
    "rows by a mask": lambda w: w[torch.tensor([True, False, True])],
    "integers": lambda w: w.to(torch.int32),
    "a norm": lambda w: w.norm(),
}


@pytest.mark.parametrize("part", OTHER_PARTS.values(), ids=OTHER_PARTS)
def test_other_parts_are_dense_and_right(part: Callable[[Tensor], Tensor]) -> None:
    packed, dense = stack(GRIDS[0])
    assert torch.equal(part(packed), part(dense))


@pytest.mark.parametrize("part", [*PACKED_PARTS.values(), *OTHER_PARTS.values()], ids=[*PACKED_PARTS, *OTHER_PARTS])
def test_inference_mode_makes_no_difference(part: Callable[[Tensor], Tensor]) -> None:
    packed, _ = stack(GRIDS[1])
    parameter = nn.Parameter(packed, requires_grad=False)
    wanted = part(parameter) + 0
    with torch.inference_mode():
        torch.testing.assert_close(part(parameter) + 0, wanted)
