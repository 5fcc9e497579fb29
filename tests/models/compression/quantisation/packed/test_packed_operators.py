"""Operators on packed weights: which parts and copies stay packed; all others are those of the dense weight."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.compression.quantisation.packed.kernels.native import PackedKernels
from sparsebench.models.compression.quantisation.packed.kernels.products import dense_products
from sparsebench.models.compression.quantisation.packed.packed_tensor import PackedTensor

from .. import models
from ..models import stack
from .kernels.oracles import GRIDS, drawn, packed

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
    packed, dense = stack(models.GRIDS[0])
    assert torch.equal(part(packed), part(dense))


@pytest.mark.parametrize("part", [*PACKED_PARTS.values(), *OTHER_PARTS.values()], ids=[*PACKED_PARTS, *OTHER_PARTS])
def test_inference_mode_makes_no_difference(part: Callable[[Tensor], Tensor]) -> None:
    packed, _ = stack(models.GRIDS[1])
    parameter = nn.Parameter(packed, requires_grad=False)
    wanted = part(parameter) + 0
    with torch.inference_mode():
        torch.testing.assert_close(part(parameter) + 0, wanted)


PRODUCTS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "linear": lambda x, rows_last, _: F.linear(x, rows_last[1]),
    "with bias": lambda x, rows_last, _: F.linear(x, rows_last[1], torch.ones(12)),
    "in three dimensions": lambda x, rows_last, _: F.linear(x.view(2, 2, 72), rows_last[0]),
    "half of the rows": lambda x, rows_last, _: F.linear(x, rows_last[1].chunk(2)[1]),
    "matmul": lambda x, rows_last, _: x @ rows_last[2].T,
    "inputs first": lambda x, _, inputs_first: x @ inputs_first[2],
    "inputs first, with bias": lambda x, _, inputs_first: torch.addmm(torch.ones(12), x, inputs_first[0]),
    "grouped": lambda x, rows_last, _: F.grouped_mm(
        x, rows_last.transpose(1, 2), offs=torch.tensor([1, 1, 4], dtype=torch.int32)
    ),
}
OTHERS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "the weight at the left": lambda x, rows_last, _: rows_last[0] @ x.T,
    "columns": lambda x, rows_last, _: F.linear(x[:, :20], rows_last[0][:, :20]),
    "inputs last in memory": lambda x, rows_last, _: F.linear(drawn(4, 12), rows_last[0].T),
    "scaled": lambda x, _, inputs_first: torch.addmm(torch.ones(12), x, inputs_first[0], alpha=2),
}


def stacks() -> tuple[PackedTensor, PackedTensor]:
    """Three matrices (12, 72), and the same ones as (72, 12)."""
    stack = packed(drawn(3, 12, 72), GRIDS[0])
    return stack, stack.map(torch.clone, transposed=True)


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
@pytest.mark.parametrize("inference", [False, True])
def test_products_read_the_codes(
    library: PackedKernels, product: Callable[[Tensor, Tensor, Tensor], Tensor], inference: bool
) -> None:
    x = drawn(4, 72, seed=1)
    with torch.inference_mode(inference), torch.no_grad():
        found = product(x, *stacks())
        with dense_products():
            wanted = product(x, *stacks())
    assert found.shape == wanted.shape
    error = (found - wanted).norm() / wanted.norm()
    assert 0 < error < 0.02


@pytest.mark.parametrize("product", OTHERS.values(), ids=OTHERS)
def test_other_products_take_the_dense_weight(
    library: PackedKernels, product: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> None:
    x = drawn(4, 72, seed=1)
    found = product(x, *stacks())
    with dense_products():
        assert torch.equal(found, product(x, *stacks()))


def test_gradients_of_inputs_are_those_of_the_dense_weight(library: PackedKernels) -> None:
    x = drawn(4, 72).requires_grad_()
    stack, _ = stacks()
    with torch.enable_grad():
        y = F.linear(x, stack[0])
        y.sum().backward()
    assert torch.equal(y, F.linear(x.detach(), stack[0].dense()))  # pyright: ignore[reportAttributeAccessIssue]
    assert x.grad is not None
    torch.testing.assert_close(x.grad, stack[0].dense().sum(0).expand(4, 72))  # pyright: ignore[reportAttributeAccessIssue]
