"""The C++ products against float64: every odd shape, both grids, biases; one row alone or among others."""

import functools

import pytest
import torch
from torch import Tensor

from sparsebench.models.compression.quantisation.grid import Grid
from sparsebench.models.compression.quantisation.packed.kernels import native
from sparsebench.models.compression.quantisation.packed.kernels.native import PackedKernels

from .oracles import DTYPES, GRIDS, bound, bytes_of, drawn, exact, mixture, packed

SHAPES = [(5, 7), (33, 64), (40, 200), (64, 130), (17, 1), (100, 576)]
ROWS = [1, 2, 3, 4, 5, 8, 9, 31, 600]


def usable(library: PackedKernels, dtype: torch.dtype, grid: Grid) -> None:
    reason = native.obstacle(dtype, grid.bits)
    if reason is not None:
        pytest.skip(reason)


def rounding(dtype: torch.dtype) -> float:
    """Largest relative error of a result as it is stored."""
    return 2**-8 if dtype == torch.bfloat16 else 2**-23


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_linear_is_exact_but_for_the_rounding_of_its_inputs(
    library: PackedKernels, shape: tuple[int, int], grid: Grid, dtype: torch.dtype
) -> None:
    usable(library, dtype, grid)
    outputs, inputs = shape
    weight = packed(drawn(outputs, inputs).to(dtype), grid)
    bias = drawn(outputs, seed=1).to(dtype)
    dense = exact(weight)
    for rows in ROWS:
        x = (drawn(rows, inputs, seed=rows) * drawn(rows, 1, seed=2).exp()).to(dtype)
        y = library.linear(x, weight.codes, bias).double()
        wanted = x.double() @ dense.T + bias.double()
        stored = rounding(dtype) * wanted.abs() + 1e-6 * (x.double().abs() @ dense.abs().T + 1)
        assert ((y - wanted).abs() <= bound(x, dense) + stored).all()
        read = bytes_of(x) @ dense.T + bias.double()
        assert (y - read).norm() <= 1e-3 * read.norm() + stored.norm()


def test_a_large_entry_spoils_its_chunk_alone(library: PackedKernels) -> None:
    weight = packed(drawn(8, 128), Grid(bits=8, group_size=None))
    x = drawn(1, 128, seed=1)
    x[0, 100] = 1e4
    alone = x.clone()
    alone[0, 64:] = 0
    error = (library.linear(alone, weight.codes).double() - alone.double() @ exact(weight).T).abs().max()
    assert error < 0.2
    assert (library.linear(x, weight.codes).double() - x.double() @ exact(weight).T).abs().max() > 2


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_a_row_does_not_see_the_others(library: PackedKernels, grid: Grid) -> None:
    weight = packed(drawn(40, 200), grid)
    x = drawn(30, 200, seed=3)
    together = library.linear(x, weight.codes)
    for row in (0, 7, 29):
        torch.testing.assert_close(library.linear(x[row : row + 1], weight.codes)[0], together[row])


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("size", [32, 64, None])
def test_codes_of_any_width_are_read_as_they_were_written(library: PackedKernels, bits: int, size: int | None) -> None:
    """Inputs of one 1 among zeros are exact in 8 bits, so that each product is one weight."""
    grid = Grid(bits=bits, group_size=size, symmetric=bits % 2 == 0)
    usable(library, torch.float32, grid)
    weight = packed(drawn(9, 131), grid)
    torch.testing.assert_close(
        library.linear(torch.eye(131), weight.codes).double().T, exact(weight), rtol=1e-6, atol=0
    )
    for column in (0, 31, 32, 130):
        one = library.linear(torch.eye(131)[column : column + 1], weight.codes)[0]
        torch.testing.assert_close(one.double(), exact(weight)[:, column], rtol=1e-6, atol=0)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_the_matrix_unit_changes_no_bit(library: PackedKernels, grid: Grid) -> None:
    usable(library, torch.float32, grid)
    if not library.use_matrix_unit(True):
        pytest.skip("this processor has no matrix unit for bytes, or the system does not give it")
    weight = packed(drawn(50, 200), grid)
    for rows in (9, 16, 33):
        x = drawn(rows, 200, seed=rows)
        with_it = library.linear(x, weight.codes)
        library.use_matrix_unit(False)
        assert torch.equal(library.linear(x, weight.codes), with_it)
        library.use_matrix_unit(True)
    x, index, mixing, gate_up, down = layer(grid, torch.float32, 60, 130, 70)
    with_it = library.experts(x, index, mixing, gate_up.codes, down.codes)  # pyright: ignore[reportAttributeAccessIssue]
    library.use_matrix_unit(False)
    without = library.experts(x, index, mixing, gate_up.codes, down.codes)  # pyright: ignore[reportAttributeAccessIssue]
    library.use_matrix_unit(True)
    assert torch.equal(without, with_it)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("rows", [1, 20])
def test_what_is_not_finite_is_not_hidden(library: PackedKernels, value: float, rows: int) -> None:
    weight = packed(drawn(40, 200), GRIDS[0])
    x = drawn(rows, 200)
    x[0, 70] = value
    y = library.linear(x, weight.codes)
    assert not y[0].isfinite().any() and y[1:].isfinite().all()


@pytest.mark.parametrize("size", [0.0, 1e-38])
def test_zeros_and_what_is_next_to_them(library: PackedKernels, size: float) -> None:
    weight = packed(drawn(40, 200), GRIDS[0])
    assert library.linear(torch.full((2, 200), size), weight.codes).abs().max() < 1e-25


def layer(grid: Grid, dtype: torch.dtype, tokens: int, width: int, hidden: int) -> tuple[Tensor, ...]:
    """Tokens, choices among 4 experts, of which the last gets nothing, or none (4), their weights, and matrices."""
    gate_up = packed((drawn(4, 2 * hidden, width) / width**0.5).to(dtype), grid)
    down = packed((drawn(4, width, hidden, seed=1) / hidden**0.5).to(dtype), grid)
    choice = torch.tensor([0, 1, 2, 4])
    index = choice[torch.rand(tokens, 4, generator=torch.Generator().manual_seed(2)).argsort(1)[:, :2]]
    return drawn(tokens, width, seed=3).to(dtype), index, drawn(tokens, 2, seed=4).abs(), gate_up, down


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("shape", [(1, 40, 24), (3, 64, 64), (60, 130, 70), (700, 20, 33)], ids=str)
def test_experts_against_the_loop_in_float64(
    library: PackedKernels, shape: tuple[int, int, int], grid: Grid, dtype: torch.dtype
) -> None:
    usable(library, dtype, grid)
    x, index, weight, gate_up, down = layer(grid, dtype, *shape)
    y = library.experts(x, index, weight, gate_up.codes, down.codes).double()  # pyright: ignore[reportAttributeAccessIssue]
    wanted = mixture(x, index, weight, exact(gate_up), exact(down))  # pyright: ignore[reportArgumentType]
    # An entry of the hidden layer that lies between two steps may be rounded to the other one.
    assert (y - wanted).norm() < (rounding(dtype) + 1e-3) * wanted.norm()


@pytest.mark.parametrize("none", [4, 10**6, -1, -50])
def test_tokens_without_an_expert_get_nothing(library: PackedKernels, none: int) -> None:
    """Whatever is none of 0 to N - 1: a negative index once wrote outside of memory."""
    x, index, weight, gate_up, down = layer(GRIDS[0], torch.float32, 5, 64, 64)
    y = library.experts(x, torch.full_like(index, none), weight, gate_up.codes, down.codes)  # pyright: ignore[reportAttributeAccessIssue]
    assert torch.equal(y, torch.zeros_like(x))


def test_threads_make_no_difference(library: PackedKernels) -> None:
    x, index, weight, gate_up, down = layer(GRIDS[0], torch.float32, 60, 130, 70)
    found = []
    threads = torch.get_num_threads()
    for number in (1, 2):
        torch.set_num_threads(number)
        found.append(library.experts(x, index, weight, gate_up.codes, down.codes))  # pyright: ignore[reportAttributeAccessIssue]
    torch.set_num_threads(threads)
    assert torch.equal(*found)


def test_what_was_used_is_told_once(library: PackedKernels) -> None:
    native.take_use()
    assert native.take_use() is None
    assert native.kernels() is library
    built = native.take_use()
    assert built is not None and built == library.built
    assert native.take_use() is None


def test_where_they_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_load", functools.cache(native._load.__wrapped__))
    monkeypatch.setenv("SPARSEBENCH_NATIVE", "0")
    assert native.kernels() is None and native.take_use() is None
    assert native.obstacle() == "SPARSEBENCH_NATIVE=0"
    assert native.status() == (
        "C++ products of packed weights: not in use (SPARSEBENCH_NATIVE=0); dense weights are made instead"
    )


def test_status_in_use(library: PackedKernels) -> None:
    assert native.status().startswith("C++ products of packed weights: in use, AVX-512 VNNI for ")
    assert native.status().endswith("a matrix unit for many rows") == library.matrix_unit
    assert native.obstacle(torch.float64) == "there are no kernels for float64 here"


def test_without_bytes_put_anywhere_half_bytes_and_bytes_are_left(
    library: PackedKernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "bits", (4, 8))
    assert native.obstacle(bits=4) is native.obstacle(bits=8) is None
    assert native.obstacle(bits=3) == "no AVX-512 VBMI (of the processor, or the compiler), which codes of 3 bits need"
    assert "for 4 and 8 bits" in native.status()
