"""Packed weights: what they stand for, gradients through them, files of them, and what they refuse."""

import copy
import io
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.compression.quantisation.grid import Grid, round_to_nearest
from sparsebench.models.compression.quantisation.packed.packed_tensor import PackedTensor
from sparsebench.models.counting import stored_bytes
from sparsebench.models.errors import ModelError

from ..models import GRIDS, stack


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("transposed", [False, True])
def test_it_stands_for_the_dense_weight(grid: Grid, transposed: bool) -> None:
    packed, dense = stack(grid, transposed=transposed)
    assert packed.shape == dense.shape and packed.dtype == dense.dtype
    assert torch.equal(packed.dense(), dense) and torch.equal(packed + 0, dense)


PRODUCTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "linear": lambda x, w: F.linear(x, w[1]),
    "with bias": lambda x, w: F.linear(x, w[1], torch.ones(6)),
    "in three dimensions": lambda x, w: F.linear(x.view(2, 2, 5), w[0]),
    "half": lambda x, w: F.linear(x, w[1].chunk(2)[0]),
    "batched": lambda x, w: torch.bmm(x.expand(3, 4, 5), w.transpose(1, 2)),
    "matmul": lambda x, w: x @ w[2].T,
}


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_products_and_the_gradients_of_inputs_are_those_of_the_dense_weight(
    product: Callable[[Tensor, Tensor], Tensor],
) -> None:
    packed, dense = stack(GRIDS[1])
    parameter = nn.Parameter(packed, requires_grad=False)
    found = []
    for weight in (parameter, dense):
        x = torch.arange(20.0).view(4, 5).requires_grad_()
        out = product(x, weight)
        out.square().sum().backward()
        found.append((out.detach(), x.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1] is not None and found[1][1] is not None and torch.equal(found[0][1], found[1][1])


def layer(seed: int = 0, grid: Grid = GRIDS[0]) -> nn.Linear:
    """A linear layer with a packed weight."""
    made = nn.Linear(10, 6)
    weight = torch.randn(6, 10, generator=torch.Generator().manual_seed(seed))
    made.weight = nn.Parameter(PackedTensor.of(round_to_nearest(weight, grid)), requires_grad=False)
    return made


def test_a_module_holds_copies_moves_and_counts_it() -> None:
    module = layer()
    assert isinstance(module.weight, nn.Parameter) and isinstance(module.weight, PackedTensor)
    # Two words of 4-bit codes and four scales in each of six rows, and the bias.
    assert stored_bytes(module) == 6 * (2 * 4 + 4 * 4) + 6 * 4
    twin = copy.deepcopy(module)
    assert isinstance(twin.weight, PackedTensor) and isinstance(twin.weight, nn.Parameter)
    assert twin.weight.words.data_ptr() != module.weight.words.data_ptr()
    half = twin.to(torch.bfloat16)
    assert half.weight.dtype == torch.bfloat16 and half(torch.ones(1, 10, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert module.weight.dtype == torch.float32


def test_state_dicts_go_round() -> None:
    one, other = layer(0), layer(1)
    file = io.BytesIO()
    torch.save(one.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file))
    x = torch.randn(3, 10, generator=torch.Generator().manual_seed(2))
    assert torch.equal(one(x), other(x))


def test_another_grid_does_not_load() -> None:
    with pytest.raises(RuntimeError, match="does not fit into"):
        layer(0).load_state_dict(layer(1, Grid(bits=8)).state_dict())


def test_writing_is_refused() -> None:
    packed, dense = stack(GRIDS[0])
    before = packed.dense()
    writes: list[Callable[[], object]] = [
        lambda: packed.add_(1),
        lambda: packed[1].copy_(dense[1]),
        lambda: packed[1].copy_(packed[2]),
        lambda: packed.zero_(),
        lambda: torch.add(dense, 1, out=packed),
    ]
    for write in writes:
        with pytest.raises(ModelError, match="can only be read"):
            write()
    assert torch.equal(packed.dense(), before)


def test_it_does_not_train_and_has_no_memory_for_file_formats() -> None:
    weight = layer().weight
    with pytest.raises(ModelError, match="do not train"):
        weight.requires_grad_(True)
    with pytest.raises(ModelError, match=r"sparsebench\.models\.save"):
        weight.data_ptr()
    with pytest.raises(ModelError, match=r"sparsebench\.models\.save"):
        weight.untyped_storage()


@pytest.mark.parametrize("transposed", [False, True])
def test_a_place_for_another_to_be_loaded_into(transposed: bool) -> None:
    packed, dense = stack(GRIDS[1], transposed=transposed)
    zeros = PackedTensor.of(round_to_nearest(torch.zeros(3, 6, 5), GRIDS[1]), transposed=transposed)
    empty = nn.Parameter(zeros, requires_grad=False)
    assert torch.equal(empty + 0, torch.zeros_like(dense))
    with torch.no_grad():
        empty.copy_(packed)
    assert torch.equal(empty + 0, dense)


def test_what_it_says_of_itself() -> None:
    packed, _ = stack(GRIDS[1])
    assert repr(packed) == (
        "PackedTensor(shape=(3, 6, 5), dtype=torch.float32, Grid(bits=3, group_size=4, symmetric=False))"
    )
    assert sorted(packed.parts()) == ["scale", "words", "zero"]
