"""When packed weights are read as they are, and when the dense ones are made."""

import pytest
import torch
from torch import nn

from sparsebench.models.compression.quantisation.grid import Grid
from sparsebench.models.compression.quantisation.packed.kernels import products
from sparsebench.models.compression.quantisation.packed.kernels.native import PackedKernels
from sparsebench.models.compression.quantisation.packed.kernels.products import (
    dense_products,
    experts,
    grouped,
    linear,
    why_dense,
)

from .oracles import GRIDS, bound, drawn, exact, packed


def test_rows_of_any_number_of_dimensions(library: PackedKernels) -> None:
    weight = packed(drawn(10, 70), GRIDS[0])
    x = drawn(2, 3, 70)
    y = linear(x, weight.codes)
    assert y is not None and y.shape == (2, 3, 10)
    single = linear(x[1, 2], weight.codes)
    assert single is not None and torch.equal(single, y[1, 2])
    turned = linear(drawn(70, 4).T, weight.codes, drawn(10))
    assert turned is not None and turned.shape == (4, 10)


def test_where_the_dense_weight_is_made(library: PackedKernels) -> None:
    weight = packed(drawn(10, 70), GRIDS[0]).codes
    x = drawn(2, 70)
    assert linear(x, weight) is not None and why_dense(weight) is None
    assert linear(x.double(), weight) is None
    assert linear(x[:0], weight) is None
    assert linear(x, weight, drawn(10).double()) is None
    assert linear(x, packed(drawn(10, 70), Grid(group_size=16)).codes) is None
    assert linear(x[:, :69], weight) is None
    with dense_products():
        assert linear(x, weight) is None
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight) is None
    with torch.enable_grad():
        assert linear(x, weight) is not None
        assert linear(x.requires_grad_(), weight) is None


def test_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_dense(packed(drawn(4, 70), Grid(group_size=16)).codes) == "groups of 16 columns are no multiples of 32"
    meta = packed(drawn(4, 64), GRIDS[0]).map(lambda part: part.to("meta"))
    assert why_dense(meta.codes) == "there are no kernels for meta"
    monkeypatch.setattr(products, "obstacle", lambda dtype, bits: "no compiler")
    assert why_dense(packed(drawn(4, 64), GRIDS[0]).codes) == "no compiler"


def test_rows_expert_by_expert(library: PackedKernels) -> None:
    stack = packed(drawn(3, 10, 70), GRIDS[0])
    x = drawn(9, 70)
    y = grouped(x, stack.codes, torch.tensor([4, 4, 7], dtype=torch.int32))
    assert y is not None and torch.equal(y[7:], torch.zeros(2, 10))
    for expert, rows in ((0, slice(0, 4)), (2, slice(4, 7))):
        dense = exact(stack[expert])  # pyright: ignore[reportArgumentType]
        error = (y[rows].double() - x[rows].double() @ dense.T).abs()
        assert (error <= bound(x[rows], dense) + 1e-4).all()


def test_experts_need_one_grid_and_no_gradient(library: PackedKernels) -> None:
    gate_up = packed(drawn(2, 8, 6), GRIDS[0]).codes
    down = packed(drawn(2, 6, 4), GRIDS[0]).codes
    x, index, weight = drawn(3, 6), torch.zeros(3, 1, dtype=torch.int32), torch.ones(3, 1)
    assert experts(x, index, weight, gate_up, down) is not None
    assert experts(x, index, weight, gate_up, packed(drawn(2, 6, 4), GRIDS[1]).codes) is None
    with torch.enable_grad():
        assert experts(x, index, nn.Parameter(weight), gate_up, down) is None


def test_whoever_counts_operations_sees_them(library: PackedKernels) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    weight = packed(drawn(10, 70), GRIDS[0])
    with FlopCounterMode(display=False) as counter:
        nn.functional.linear(drawn(3, 70), weight)
    assert counter.get_total_flops() == 2 * 3 * 10 * 70
