"""A product for each expert as one operator of a graph."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from sparsebench.models.moe.experts.grouped_product import grouped_outer, grouped_product, product_of_groups


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=dtype)


def test_rows_go_to_their_expert_and_those_behind_the_last_to_nobody() -> None:
    rows, matrices = drawn(9, 5), drawn(4, 5, 3)
    out = grouped_product(rows, matrices, torch.tensor([2, 2, 7, 8]))
    expected = torch.cat((rows[:2] @ matrices[0], rows[2:7] @ matrices[2], rows[7:8] @ matrices[3], torch.zeros(1, 3)))
    torch.testing.assert_close(out, expected)


def test_gradients() -> None:
    ends = torch.tensor([2, 2, 7, 8])
    leaves = (drawn(9, 5).requires_grad_(), drawn(4, 3, 5).requires_grad_())

    def compute(rows: Tensor, matrices: Tensor) -> Tensor:
        return grouped_product(rows, matrices.transpose(1, 2), ends)

    assert torch.autograd.gradcheck(compute, leaves)


def test_operators_are_what_torch_asks_of_them() -> None:
    ends = torch.tensor([4, 4, 9])
    torch.library.opcheck(grouped_product, (drawn(9, 5).requires_grad_(), drawn(3, 5, 3).requires_grad_(), ends))
    torch.library.opcheck(grouped_outer, (drawn(9, 5), drawn(9, 3), ends))


def test_what_torch_computes_where_it_can() -> None:
    rows, matrices = drawn(9, 8, dtype=torch.float32), drawn(3, 8, 4, dtype=torch.float32)
    ends = torch.tensor([4, 4, 9], dtype=torch.int32)
    torch.testing.assert_close(grouped_product(rows, matrices, ends), F.grouped_mm(rows, matrices, offs=ends))


def test_operations_are_counted_forward_and_backward() -> None:
    rows, matrices = drawn(9, 5).requires_grad_(), drawn(3, 5, 4).requires_grad_()
    with FlopCounterMode(display=False) as counter:
        grouped_product(rows, matrices, torch.tensor([4, 4, 9])).sum().backward()
    assert counter.get_total_flops() == 3 * 2 * 9 * 5 * 4


def test_autocast_narrows_both() -> None:
    ends = torch.tensor([4, 4, 9], dtype=torch.int32)
    rows, matrices = drawn(9, 8, dtype=torch.float32), drawn(3, 8, 4, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert product_of_groups(rows, matrices.bfloat16(), ends).dtype is torch.bfloat16
        assert product_of_groups(rows.double(), matrices.double(), ends).dtype is torch.float64
