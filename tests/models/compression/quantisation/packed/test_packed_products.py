"""Every way in which modules multiply by a packed weight ends in the kernels, and gives what the dense weight gives."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.compression.quantisation.packed.kernels.native import PackedKernels
from sparsebench.models.compression.quantisation.packed.kernels.products import dense_products
from sparsebench.models.compression.quantisation.packed.packed_tensor import PackedTensor

from .kernels.oracles import GRIDS, drawn, packed

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
