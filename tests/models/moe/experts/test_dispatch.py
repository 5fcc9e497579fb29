"""Who computes the experts, and that everybody is right."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter
from torch.autograd import forward_ad
from torch.utils.flop_counter import FlopCounterMode

from sparsebench.models.moe.experts import dispatch
from sparsebench.models.moe.experts.dispatch import Weights, grouped_experts, kernels, run_experts
from sparsebench.models.moe.experts.eager import loop_experts
from sparsebench.models.moe.experts.native import Native

Cases = Callable[..., Any]
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever the plain loop computes."""
    calls: list[int] = []

    def counted(x: Tensor, *rest: Any, **options: Any) -> Tensor:
        calls.append(len(x))
        return loop_experts(x, *rest, **options)

    monkeypatch.setattr(dispatch, "loop_experts", counted)
    return calls


def assert_close(out: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(out.double(), expected.double(), atol=tolerance, rtol=tolerance)


def test_the_loop_is_not_the_usual_way(case: Cases, loops: list[int]) -> None:
    made = case(20, 16, 12, 4, 2)
    assert_close(made.run(), made.oracle())
    assert not loops


def test_operations_are_counted(case: Cases, loops: list[int]) -> None:
    made = case(20, 16, 12, 4, 2)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), FlopCounterMode(display=False) as counter:
            out = made.run()
        assert counter.get_total_flops() == 20 * 2 * 2 * (2 * 16 * 12 + 12 * 16)
        assert_close(out, made.oracle())
    assert len(loops) == 2


def test_operations_are_counted_without_numbers(case: Cases, loops: list[int]) -> None:
    made = case(21, 16, 12, 4, 1)
    meta = type(made)(*(tensor.to("meta") for tensor in made))
    with FlopCounterMode(display=False) as counter:
        out = meta.run()
    assert out.is_meta and out.shape == (21, 16)
    assert counter.get_total_flops() == 21 * 2 * (2 * 16 * 12 + 12 * 16)
    assert loops == [21]


def test_autocast(case: Cases, loops: list[int]) -> None:
    """In evaluation the loop, which makes narrow copies of the chosen experts alone."""
    made = case(20, 16, 12, 4, 2)
    with torch.autocast("cpu", torch.bfloat16):
        out = made.run()
    assert out.dtype == torch.float32 and loops == [20]
    assert_close(out, made.oracle(), 3e-2)


def test_autocast_in_training(case: Cases, loops: list[int]) -> None:
    """Our own design, with the types that the loop gives: tokens and experts may differ in theirs."""
    made = case(20, 16, 12, 4, 2)
    for x in (made.x, made.x.bfloat16()):
        mixed = made._replace(x=x.requires_grad_())
        with torch.autocast("cpu", torch.bfloat16):
            out = mixed.run()
            expected = loop_experts(x, mixed.index, mixed.weight, mixed.weights)
        assert out.dtype == expected.dtype == x.dtype and not loops
        assert_close(out, made.oracle(), 3e-2)
        assert_close(out, expected, 3e-2)


def test_autocast_leaves_float64_alone(case: Cases, loops: list[int]) -> None:
    made = case(20, 16, 12, 4, 2).to(torch.float64)
    made = made._replace(x=made.x.requires_grad_())
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(made.run(), made.oracle(), 1e-12)
    assert not loops


def test_vmap_over_tokens(case: Cases, loops: list[int]) -> None:
    made = case(20, 16, 12, 4, 2)
    x = torch.stack((made.x, -made.x))
    out = torch.func.vmap(lambda x: made._replace(x=x).run())(x)
    assert loops
    for found, one in zip(out, x, strict=True):
        assert_close(found, made._replace(x=one).oracle())


def test_functional_gradient(case: Cases, loops: list[int]) -> None:
    made = case(20, 16, 12, 4, 2)
    gradient = torch.func.grad(lambda x: made._replace(x=x).run().square().sum())(made.x)
    x = made.x.clone().requires_grad_()
    made._replace(x=x).oracle().square().sum().backward()
    assert x.grad is not None and loops
    assert_close(gradient, x.grad, 1e-4)


def test_forward_mode(case: Cases, loops: list[int]) -> None:
    made = case(20, 16, 12, 4, 2)
    tangent = made.x.flip(0)
    with torch.no_grad(), forward_ad.dual_level():
        dual = forward_ad.unpack_dual(made._replace(x=forward_ad.make_dual(made.x, tangent)).run())
        expected = forward_ad.unpack_dual(made._replace(x=forward_ad.make_dual(made.x, tangent)).oracle())
    assert loops
    torch.testing.assert_close(tuple(dual), tuple(expected), atol=1e-5, rtol=1e-5, check_dtype=False)


@pytest.mark.parametrize("tokens", [1, 2, 20])
def test_float64(case: Cases, tokens: int) -> None:
    made = case(tokens, 16, 12, 4, 2).to(torch.float64)
    assert_close(made.run(), made.oracle(), 1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision(case: Cases, dtype: torch.dtype) -> None:
    made = case(20, 16, 12, 4, 2, drop=True).to(dtype)
    assert made.run().dtype == dtype
    assert_close(made.run(), made.oracle(), 2e-2)


def test_no_tokens(case: Cases) -> None:
    assert case(0, 16, 12, 4, 2).run().shape == (0, 16)


@pytest.mark.parametrize("tokens", [1, 20])
def test_experts_that_are_not_ours(case: Cases, loops: list[int], tokens: int) -> None:
    """GELU, a bias, and no gate."""
    made = case(tokens, 16, 12, 4, 2)
    bias = made.gate_up[:, :, 0].contiguous()
    layers = [
        Weights(made.gate_up, made.down, None, True, F.gelu),
        Weights(made.gate_up, made.down, bias, True, F.silu),
        Weights(made.gate_up[:, :12].contiguous(), made.down, None, False, nn.GELU()),
    ]
    for done, weights in enumerate(layers, 1):
        out = run_experts(made.x, made.index, made.weight, weights)
        assert len(loops) == done
        assert_close(out, loop_experts(made.x, made.index, made.weight, weights))


def test_when_the_router_may_use_kernels(case: Cases, library: Native) -> None:
    x, weight = case(20, 16, 1, 1, 1).x, torch.ones(4, 16)
    assert kernels(x, weight) is library
    assert kernels(x, weight.requires_grad_()) is None
    with torch.no_grad():
        assert kernels(x, weight) is library
        assert kernels(x[:, ::2], weight[:, ::2]) is None
        assert kernels(x.double(), weight.double()) is None
        assert kernels(x[:0], weight) is None
        with FlopCounterMode(display=False):
            assert kernels(x, weight) is None


def test_weights_without_memory_of_the_cpu_go_to_no_kernel(case: Cases, library: Native) -> None:
    """A pointer to them would point nowhere: on the meta device, transposed, sparse, or of a tensor subclass."""

    class Marked(Tensor):
        pass

    x = case(20, 16, 1, 1, 1).x
    weight = torch.ones(4, 16)
    assert kernels(x, nn.Parameter(weight, requires_grad=False)) is library
    for other in (weight.to("meta"), torch.ones(16, 4).T, weight.to_sparse(), weight.as_subclass(Marked)):
        assert kernels(x, other) is None
    assert kernels(x.as_subclass(Marked), weight) is None
    assert kernels(x.to("meta"), weight) is None


def test_a_compiled_layer_is_not_compiled_again_for_each_choice(case: Cases, loops: list[int]) -> None:
    """One whole graph, in which nothing depends on the number of rows of each expert."""
    made = case(20, 16, 12, 4, 2)
    graphs = CompileCounter()
    compiled = torch.compile(lambda x, index: made._replace(x=x, index=index).run() + 1, backend=graphs, fullgraph=True)
    counts = set()
    for seed in range(4):
        index = torch.rand(20, 4, generator=torch.Generator().manual_seed(seed)).topk(2, dim=1).indices
        assert_close(compiled(made.x, index), made._replace(index=index).oracle() + 1)
        counts.add(graphs.frame_count)
    assert not loops and counts == {1}


def test_whole_graphs_of_experts_that_are_not_ours(case: Cases, loops: list[int]) -> None:
    """GELU, a bias, no gate, another type, autocast: outputs and gradients are those of the loop."""
    torch._dynamo.reset()  # graphs of other tests count against the limit of one function's
    made = case(20, 18, 12, 4, 2, drop=True)
    bias = made.gate_up[:, :, 0].contiguous()
    double = made.to(torch.float64)
    layers = [
        (made, Weights(made.gate_up, made.down, None, True, F.gelu)),
        (made, Weights(made.gate_up, made.down, bias, True, F.silu)),
        (made, Weights(made.gate_up[:, :12].contiguous(), made.down, bias[:, :12].contiguous(), False, nn.GELU())),
        (double, Weights(double.gate_up, double.down, None, True, F.gelu)),
    ]
    for case_, weights in layers:
        results = []
        for compute in (torch.compile(run_experts, backend="aot_eager", fullgraph=True), loop_experts):
            x, gate_up, down = (t.clone().requires_grad_() for t in (case_.x, weights.gate_up, weights.down))
            out = compute(x, case_.index, case_.weight, weights._replace(gate_up=gate_up, down=down))
            out.square().sum().backward()
            results.append((out.detach(), x.grad, gate_up.grad, down.grad))
        torch.testing.assert_close(*results, atol=1e-4, rtol=1e-4)
    assert not loops
    with torch.autocast("cpu", torch.bfloat16):
        compiled = torch.compile(run_experts, backend="aot_eager", fullgraph=True)
        out = compiled(made.x, made.index, made.weight, made.weights)
    assert out.dtype == torch.float32
    assert_close(out, made.oracle(), 3e-2)


@pytest.mark.parametrize(
    ("dtype", "autocast", "few"),
    [(torch.float32, False, False), (torch.float32, True, True), (torch.bfloat16, False, True)],
)
def test_the_loop_has_few_shapes_in_bfloat16(
    dtype: torch.dtype, autocast: bool, few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GELU experts with bias, which only the loop computes; where operations are counted, none are added."""
    asked: list[bool] = []

    def noted(*given: Any, few_shapes: bool) -> Tensor:
        asked.append(few_shapes)
        return loop_experts(*given, few_shapes=few_shapes)

    monkeypatch.setattr(dispatch, "loop_experts", noted)
    generator = torch.Generator().manual_seed(0)
    x, gate_up, down = (torch.randn(*shape, generator=generator) for shape in ((70, 8), (2, 6, 8), (2, 8, 6)))
    weights = Weights(gate_up.to(dtype), down.to(dtype), torch.zeros(2, 6, dtype=dtype), False, F.gelu)
    index = torch.zeros(70, 1, dtype=torch.int64)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        run_experts(x.to(dtype), index, torch.ones(70, 1), weights)
        with FlopCounterMode(display=False) as counter:
            run_experts(x.to(dtype), index, torch.ones(70, 1), weights)
    assert asked == [few, False]
    assert counter.get_total_flops() == 70 * 2 * 2 * 6 * 8


def grouped(case: Any) -> Tensor:
    return grouped_experts(case.x, case.index, case.weight, case.weights)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("tokens", [1, 7, 100])
def test_output_and_gradients(case: Cases, dtype: torch.dtype, drop: bool, tokens: int) -> None:
    made = case(tokens, 32, 16, 5, 3, drop=drop).to(dtype)
    tolerance = TOLERANCE[dtype]
    direction = torch.randn(tokens, 32, generator=torch.Generator().manual_seed(5))
    grads = []
    for compute in (grouped, lambda leaves: leaves.oracle()):
        tensors = {name: getattr(made, name).clone().requires_grad_() for name in ("x", "weight", "gate_up", "down")}
        out = compute(made._replace(**tensors))
        out.backward(direction.to(out.dtype))
        grads.append([out.detach().double(), *(tensor.grad.double() for tensor in tensors.values())])
    for found, expected in zip(*grads, strict=True):
        bound = tolerance * max(1.0, expected.abs().max().item())
        torch.testing.assert_close(found, expected, atol=bound, rtol=0)


def test_idle_experts_and_nobody_routed(case: Cases) -> None:
    made = case(7, 32, 16, 5, 2)
    one = made._replace(index=torch.full_like(made.index, 3))
    torch.testing.assert_close(grouped(one).double(), one.oracle(), atol=1e-5, rtol=1e-5)
    assert not grouped(made._replace(index=torch.full_like(made.index, 5))).any()


def test_another_activation_and_no_gate(case: Cases) -> None:
    made = case(7, 32, 16, 5, 1)
    weights = made.weights._replace(gate_up=made.gate_up[:, :16], gated=False, activation=F.gelu)
    out = grouped_experts(made.x, made.index, made.weight, weights)
    for t, e in enumerate(made.index[:, 0].tolist()):
        expected = made.weight[t, 0] * (made.down[e] @ F.gelu(weights.gate_up[e] @ made.x[t]))
        torch.testing.assert_close(out[t], expected, atol=1e-5, rtol=1e-5)
