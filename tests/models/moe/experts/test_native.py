from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparsebench.models.moe.experts import native
from sparsebench.models.moe.experts.dispatch import run_experts
from sparsebench.models.moe.experts.native import Native
from sparsebench.models.moe.experts.operators import Operators

SIZES = st.sampled_from([1, 2, 5, 15, 16, 17, 31, 32, 33, 64, 100, 172])

Cases = Callable[..., Any]


def assert_right(out: Tensor, case: Any) -> None:
    assert out.dtype == case.x.dtype
    error, allowed = (out.double() - case.oracle()).abs(), case.rounding()
    assert (error <= allowed).all(), (
        f"off by {error.max():.2e}, {(error / allowed).max():.2f} times what rounding may do"
    )


def in_parts(library: Native, case: Any) -> Tensor:
    """The design for many rows: the library's operators between PyTorch's matrix products."""
    return Operators.forward(library, *case)[0]


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@settings(deadline=None, max_examples=60)
@given(
    tokens=st.integers(0, 200),
    width=SIZES,
    hidden=SIZES,
    experts=st.integers(1, 16),
    drop=st.booleans(),
    half=st.booleans(),
    data=st.data(),
)
def test_any_shape(
    case: Cases,
    library: Native,
    tokens: int,
    width: int,
    hidden: int,
    experts: int,
    drop: bool,
    half: bool,
    data: st.DataObject,
) -> None:
    top_k = data.draw(st.integers(1, experts))
    half = half and torch.bfloat16 in library.dtypes
    made = case(tokens, width, hidden, experts, top_k, drop=drop, seed=data.draw(st.integers(0, 9)))
    made = made.to(torch.bfloat16 if half else torch.float32)
    assert_right(library.experts(*made), made)
    assert_right(library.forward(*made)[0], made)
    assert_right(in_parts(library, made), made)
    if library.takes_matrix_unit(made.x, made.down):
        assert_right(library.matrix_experts(*made), made)
    assert_right(made.run(), made)


@pytest.mark.parametrize("tokens", range(1, 9))
def test_few_tokens(case: Cases, library: Native, dtype: torch.dtype, tokens: int) -> None:
    made = case(tokens, 40, 24, 4, 2, drop=True, seed=tokens).to(dtype)
    assert_right(library.experts(*made), made)


AWKWARD: dict[str, tuple[tuple[int, ...], Callable[[Tensor], Tensor]]] = {
    "one expert takes all, one is idle": ((50, 33, 20, 3, 1), torch.ones_like),
    "the same expert twice": ((5, 33, 20, 3, 2), lambda index: index[:, :1].expand(-1, 2).contiguous()),
    "more tokens than one pass takes": ((9001, 20, 12, 3, 2), lambda index: index),
    "more rows than fit the cache": ((300, 700, 20, 2, 1), torch.zeros_like),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_choices(case: Cases, library: Native, dtype: torch.dtype, name: str) -> None:
    sizes, choose = AWKWARD[name]
    made = case(*sizes, drop=True).to(dtype)
    made = made._replace(index=choose(made.index))
    assert_right(library.experts(*made), made)
    assert_right(in_parts(library, made), made)


@pytest.mark.parametrize("index", [3, 10**6, -1, -50])
def test_no_expert_at_all(case: Cases, library: Native, dtype: torch.dtype, index: int) -> None:
    """Whatever is none of 0 to N - 1: a negative index once wrote outside of memory."""
    made = case(5, 33, 20, 3, 2).to(dtype)
    made = made._replace(index=torch.full_like(made.index, index))
    assert not library.experts(*made).any()
    assert not in_parts(library, made).any()


@pytest.mark.parametrize("tokens", [1, 3, 100])
@pytest.mark.usefixtures("threads")
def test_same_bits_whatever_the_threads(case: Cases, library: Native, dtype: torch.dtype, tokens: int) -> None:
    made = case(tokens, 100, 60, 4, 2).to(dtype)
    outs = []
    for threads in (1, 1, 2, 2):
        torch.set_num_threads(threads)
        outs.append(library.experts(*made))
    assert all(torch.equal(out, outs[0]) for out in outs)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("tokens", [2, 30])
def test_what_is_not_a_number_stays_so(
    case: Cases, library: Native, dtype: torch.dtype, tokens: int, bad: float
) -> None:
    made = case(tokens, 40, 24, 4, 2).to(dtype)
    x = made.x.clone()
    x[1, 7] = bad
    for compute in (library.experts, lambda *made: in_parts(library, made)):
        out, clean = compute(x, *made[1:]), compute(*made)
        assert not out[1].isfinite().any()
        others = torch.arange(tokens) != 1
        assert torch.equal(out[others], clean[others])


def test_strided_inputs(case: Cases, library: Native, dtype: torch.dtype) -> None:
    made = case(30, 40, 24, 4, 2).to(dtype)
    expected = library.experts(*made)
    x, index, weight = (tensor.T.contiguous().T for tensor in made[:3])
    gate_up, down = (tensor.transpose(1, 2).contiguous().transpose(1, 2) for tensor in made[3:])
    assert not (x.is_contiguous() or index.is_contiguous() or weight.is_contiguous() or down.is_contiguous())
    assert torch.equal(run_experts(x, index, weight, made.weights), expected)
    weights = made.weights._replace(gate_up=gate_up, down=down)
    assert_right(run_experts(made.x, made.index, made.weight, weights), made)


def test_indices_of_32_bits(case: Cases, library: Native, dtype: torch.dtype) -> None:
    made = case(30, 40, 24, 4, 2).to(dtype)
    assert torch.equal(run_experts(made.x, made.index.int(), made.weight, made.weights), library.experts(*made))


@pytest.mark.parametrize("tokens", [3, 200])
def test_inference_mode_and_out_of_it(case: Cases, library: Native, tokens: int) -> None:
    """In a thread of its own, whose scratch memory is first made in inference mode."""
    normal = case(tokens, 40, 24, 4, 2)

    def use() -> list[Tensor]:
        with torch.inference_mode():
            made = case(tokens, 40, 24, 4, 2)
            inside = [made.run(), in_parts(library, made)]
        with torch.no_grad():
            outside = [made.run(), in_parts(library, normal)]
        x = normal.x.clone().requires_grad_()
        trained = normal._replace(x=x).run()
        trained.sum().backward()
        assert x.grad is not None
        return [*inside, *outside, trained.detach()]

    with ThreadPoolExecutor(1) as pool:
        outs = pool.submit(use).result()
    for out in outs:
        assert_right(out, normal)


def test_calls_from_two_threads(case: Cases, library: Native) -> None:
    cases = [case(tokens, 100, 60, 4, 2, seed=tokens) for tokens in (1, 5, 40, 200) * 5]
    expected = [library.experts(*made) for made in cases]
    pairs = [in_parts(library, made) for made in cases]
    with ThreadPoolExecutor(2) as pool:
        outs = list(pool.map(lambda made: (library.experts(*made), in_parts(library, made)), cases))
    for (whole, parts), out, pair in zip(outs, expected, pairs, strict=True):
        assert torch.equal(whole, out) and torch.equal(parts, pair)


def test_defaults_of_torch_do_not_matter(case: Cases, library: Native) -> None:
    """Somebody's default device or dtype must not become that of memory the kernels write to."""
    made = case(30, 40, 24, 4, 2)
    router = made.down[0, :4].repeat(1, 2)[:, :40].contiguous()
    expected = (library.experts(*made), *library.route(made.x, router, 2, "sigmoid", 1.0), *library.plan(made.index, 4))
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            found = (library.experts(*made), *library.route(made.x, router, 2, "sigmoid", 1.0))
            found = (*found, *library.plan(made.index, 4))
    finally:
        torch.set_default_dtype(before)
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.parametrize("faster", ["kernel", "products"])
def test_the_form_that_the_clock_prefers_is_taken(
    case: Cases, library: Native, faster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fastest(what: tuple[str | int, ...], forms: dict[str, Callable[[], object]], rule: str) -> str:
        asked.append((what[:2], rule))
        for form in forms.values():
            form()
        return faster

    monkeypatch.setattr(native, "fastest", fastest)
    made = case(40, 24, 16, 4, 2, seed=0)
    of_kernel, of_products = library.experts(*made), in_parts(library, made)
    assert torch.equal(library.evaluated(*made), of_kernel if faster == "kernel" else of_products)
    assert_right(library.forward(*made)[0], made)
    assert asked == [
        (("experts", "torch.float32"), "kernel"),
        (("experts to be trained", "torch.float32"), "kernel"),
    ]


def test_a_row_or_so_for_each_expert_asks_no_clock(
    case: Cases, library: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "fastest", None)
    made = case(2, 24, 16, 4, 2, seed=0)
    assert_right(library.evaluated(*made), made)


@pytest.mark.parametrize(
    ("tokens", "width", "hidden"), [(1, 32, 16), (17, 34, 18), (40, 100, 172), (33, 64, 20), (300, 162, 50)]
)
def test_the_matrix_unit_for_whole_tiles_and_what_is_left_of_them(
    case: Cases, library: Native, tokens: int, width: int, hidden: int
) -> None:
    made = case(tokens, width, hidden, 5, 2, drop=True, seed=tokens).to(torch.bfloat16)
    if not library.takes_matrix_unit(made.x, made.down):
        pytest.skip("this processor has no matrix unit for bfloat16, or the system does not give it")
    assert_right(library.matrix_experts(*made), made)
    out, inward, plan = library._kept_by_matrix_unit(*made)
    assert torch.equal(out, library.matrix_experts(*made))
    _, expected, of_kernel = library._kept(*made)
    assert plan.counts == of_kernel.counts and torch.equal(plan.place, of_kernel.place)
    assert torch.equal(plan.order[: sum(plan.counts)], of_kernel.order[: sum(plan.counts)])
    assert (inward - expected).double().norm() <= 2**-8 * expected.double().norm()


def test_what_the_matrix_unit_does_not_take(case: Cases, library: Native) -> None:
    for width, hidden in ((33, 16), (32, 17), (30, 16), (32, 14)):
        made = case(3, width, hidden, 2, 1).to(torch.bfloat16)
        assert not library.takes_matrix_unit(made.x, made.down)
    made = case(3, 32, 16, 2, 1)
    assert not library.takes_matrix_unit(made.x, made.down)
