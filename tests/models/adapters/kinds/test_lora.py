from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.adapters.kinds.lora import FEW_ROWS, LoRALayer
from sparsebench.models.anatomy import describe

from ...agreement import agree
from ..conftest import NEAR

IN, OUT = 12, 15
SPANS = {"all": [(0, OUT)], "part": [(3, 9)], "two": [(0, 5), (10, OUT)]}
Build = Callable[[str], nn.Module]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer(spans: str = "two", *, dtype: torch.dtype = torch.float64, bias: bool = True, **config: float) -> LoRALayer:
    base = nn.Linear(IN, OUT, bias=bias, dtype=dtype).requires_grad_(False)
    for seed, parameter in enumerate(base.parameters()):
        parameter.copy_(draw(*parameter.shape, seed=seed))
    made = LoRALayer(base, SPANS[spans], LoRAConfig(r=3, alpha=6, **config), torch.Generator())
    with torch.no_grad():
        for seed, (_, parameter) in enumerate(made.adapter_parameters()):
            parameter.copy_(draw(*parameter.shape, seed=seed + 2))
    return made


def formula(lora: LoRALayer, x: Tensor) -> Tensor:
    """Row by row and span by span, in float64."""
    base, rows = lora.base_layer, []
    for row in x.double():
        y = base.weight.double() @ row + (0 if base.bias is None else base.bias.double())
        update = torch.zeros_like(y)
        for (start, stop), down, up in zip(lora.spans, lora.lora_A, lora.lora_B, strict=True):
            update[start:stop] = up.effective().double() @ (down.effective().double() @ row)
        rows.append(y + lora.scaling * update)
    return torch.stack(rows)


def uses_function(y: Tensor) -> bool:
    nodes, seen = [y.grad_fn], []
    while nodes:
        node = nodes.pop()
        if node is not None:
            seen.append(type(node).__name__)
            nodes += [parent for parent, _ in node.next_functions]
    return "LowRankLinearBackward" in seen


def gradients(lora: LoRALayer, x: Tensor, y: Tensor) -> tuple[Tensor | None, ...]:
    wanted = [t for t in (x, *lora.parameters()) if t.requires_grad]
    return torch.autograd.grad((y.double() * draw(*y.shape, seed=9)).sum(), wanted)


@pytest.mark.parametrize("rows", [1, FEW_ROWS - 1, FEW_ROWS, 150])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("spans", SPANS)
def test_output_and_gradients_are_those_of_the_formula(spans: str, bias: bool, rows: int) -> None:
    lora, x = layer(spans, bias=bias), draw(rows, IN).requires_grad_()
    y = lora(x)
    assert uses_function(y) is (rows >= FEW_ROWS)
    torch.testing.assert_close(y, formula(lora, x))
    torch.testing.assert_close(gradients(lora, x, y), gradients(lora, x, formula(lora, x)))
    with torch.no_grad():
        torch.testing.assert_close(lora(x), y)


def test_hessian_vector_product_through_two_layers() -> None:
    """As GraSP needs it: the second derivative passes from one layer to the next."""
    first, second, x = layer("two"), layer("all"), draw(FEW_ROWS, IN)

    def product(call: Callable[[LoRALayer, Tensor], Tensor]) -> tuple[Tensor, ...]:
        weights = [p for lora in (first, second) for p in lora.parameters() if p.requires_grad]
        loss = call(second, torch.tanh(call(first, x))[:, :IN]).square().mean()
        grads = torch.autograd.grad(loss, weights, create_graph=True)
        return torch.autograd.grad(sum((g * g.detach()).sum() for g in grads), weights)

    torch.testing.assert_close(product(lambda lora, rows: lora(rows)), product(formula))


@pytest.mark.parametrize("rows", [FEW_ROWS - 1, FEW_ROWS])
def test_trainable_base_gets_its_gradient(rows: int) -> None:
    lora, x = layer(), draw(rows, IN)
    lora.base_layer.requires_grad_(True)
    torch.testing.assert_close(gradients(lora, x, lora(x)), gradients(lora, x, formula(lora, x)))


@pytest.mark.parametrize("shape", [(FEW_ROWS // 2, 3), (2, 3, FEW_ROWS), (2, 3), ()])
def test_leading_dimensions(shape: tuple[int, ...]) -> None:
    lora, x = layer(), draw(*shape, IN)
    torch.testing.assert_close(lora(x), formula(lora, x.reshape(-1, IN)).view(*shape, OUT))


class Operators(TorchDispatchMode):
    """Every operator that runs, with the number of elements of its first argument."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        first = args[0] if args else None
        self.seen.append((func._overloadpacket.__name__, first.numel() if isinstance(first, Tensor) else 0))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("rows", [8, 2 * FEW_ROWS])
def test_bfloat16_base_keeps_float32_adapters_and_casts_no_activation(rows: int) -> None:
    lora, x = layer(dtype=torch.bfloat16), draw(rows, IN).bfloat16().requires_grad_()
    assert {p.dtype for _, p in lora.adapter_parameters()} == {torch.float32}
    upstream = draw(rows, OUT, seed=9).bfloat16()
    with Operators() as operators:
        y = lora(x)
        y.backward(upstream)
    assert y.dtype == x.grad.dtype == torch.bfloat16
    assert all(size <= OUT * IN for name, size in operators.seen if name == "_to_copy")
    assert {p.grad.dtype for _, p in lora.adapter_parameters()} == {torch.float32}
    exact = formula(lora, x)
    assert (y.double() - exact).norm() < 1e-2 * exact.norm()
    got = [x.grad, *(p.grad for _, p in lora.adapter_parameters())]
    for ours, reference in zip(got, gradients(lora, x, exact), strict=True):
        assert (ours.double() - reference).norm() < 2e-2 * reference.norm()


@pytest.mark.parametrize("rows", [8, 2 * FEW_ROWS])
def test_autocast(rows: int) -> None:
    lora, x = layer(dtype=torch.float32), draw(rows, IN).float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = lora(x)
    assert y.dtype == torch.bfloat16
    exact = formula(lora, x)
    assert (y.double() - exact).norm() < 1e-2 * exact.norm()
    for ours, reference in zip(gradients(lora, x, y), gradients(lora, x, exact), strict=True):
        assert ours.dtype == torch.float32
        assert (ours.double() - reference).norm() < 2e-2 * reference.norm()


def test_backward_under_autocast_of_a_forward_without() -> None:
    lora, x = layer(dtype=torch.float32), draw(2 * FEW_ROWS, IN).float().requires_grad_()
    y = lora(x)
    assert uses_function(y)
    with torch.autocast("cpu", torch.bfloat16):
        got = gradients(lora, x, y)
    for ours, reference in zip(got, gradients(lora, x, formula(lora, x)), strict=True):
        assert ours.dtype == torch.float32
        assert (ours.double() - reference).norm() < 2e-2 * reference.norm()


def test_backward_keeps_the_input_and_the_low_rank_product_only() -> None:
    lora, x = layer("all"), draw(2 * FEW_ROWS, IN).requires_grad_()
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = lora(x)
    assert uses_function(y)
    own = {t.data_ptr() for t in (x, *lora.parameters())}
    assert [t.shape for t in kept if t.data_ptr() not in own] == [(3, 2 * FEW_ROWS)]


@pytest.mark.parametrize("spans", SPANS)
def test_compiles_in_one_graph(spans: str) -> None:
    lora, x = layer(spans), draw(2 * FEW_ROWS, IN).requires_grad_()
    compiled = torch.compile(lora, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(gradients(lora, x, compiled(x)), gradients(lora, x, lora(x)))
    torch._dynamo.reset()


def test_dropout_hooks_and_transforms_take_the_plain_path() -> None:
    x = draw(2 * FEW_ROWS, IN)
    dropping = layer(dropout=0.5)
    assert not uses_function(dropping(x)) and uses_function(dropping.eval()(x))
    hooked, seen = layer(), []
    hooked.base_layer.register_forward_hook(lambda module, args, output: seen.append(output.shape))
    assert not uses_function(hooked(x)) and seen == [(2 * FEW_ROWS, OUT)]
    plain = layer()
    weights = {name: p.detach() for name, p in plain.adapter_parameters()}
    loss = torch.func.grad(lambda w: torch.func.functional_call(plain, w, (x,)).square().sum())
    expected = torch.autograd.grad(plain(x).square().sum(), [p for _, p in plain.adapter_parameters()])
    torch.testing.assert_close(list(loss(weights).values()), list(expected))


@pytest.mark.parametrize("rows", [1, 2 * FEW_ROWS])
def test_whoever_watches_the_layer_below_keeps_what_it_gave(rows: int) -> None:
    """Also below another adapter, whose output is added to in place, too."""
    x = draw(rows, IN)
    inner = layer()
    outer = layer()
    outer.base_layer = inner
    expected = inner.base_layer(x)
    adapted = outer(x)
    seen: list[torch.Tensor] = []
    inner.base_layer.register_forward_hook(lambda module, args, output: seen.append(output))
    with torch.no_grad():
        torch.testing.assert_close(outer(x), adapted)
    torch.testing.assert_close(seen[0], expected)


def test_pruned_factors() -> None:
    lora, x = layer(), draw(2 * FEW_ROWS, IN)
    for module in (*lora.lora_A, *lora.lora_B):
        module.prune(draw(*module.shape, seed=3) > 0)
    y = lora(x)
    assert uses_function(y)
    torch.testing.assert_close(y, formula(lora, x))
    torch.testing.assert_close(gradients(lora, x, y), gradients(lora, x, formula(lora, x)))


def test_second_set_inside_the_first(build: Build, example: Callable, run: Callable) -> None:
    model = build("timm_vit")
    batch = example(model).repeat(40, 1, 1, 1)
    for name in ("one", "two"):
        adapters = attach(model, LoRAConfig(r=2, init="normal", seed=len(name)), name)
        assert {made.scaling for _, made in adapters.layers()} == {1.0}, "without alpha"
    torch.testing.assert_close(model(batch), run(model, batch))


def test_no_graph_before_the_first_trainable_block(build: Build, example: Callable) -> None:
    model = build("timm_vit")
    attach(model, LoRAConfig(r=2, blocks=1))
    entered = []
    for block in describe(model).blocks:
        block.site.get().register_forward_pre_hook(lambda module, args: entered.append(args[0].requires_grad))
    result = model(example(model))
    assert entered == [False, False] and result.requires_grad


@pytest.mark.parametrize("family", ["timm_vit", "bert"])
def test_merged_is_the_bare_model(family: str, build: Build, example: Callable, run: Callable) -> None:
    """Same modules, same state and same exported graph: merging leaves nothing behind that could take time."""
    bare, model = build(family), build(family)
    adapters = attach(model, LoRAConfig(r=2, targets=("linears",), init="normal"))
    batch = example(model)
    adapted = run(model, batch)
    assert adapters.merge() is model
    agree(run(model, batch), adapted, "logits", within=NEAR)
    kinds = [[(name, type(module)) for name, module in m.named_modules()] for m in (bare, model)]
    assert kinds[0] == kinds[1] and list(bare.state_dict()) == list(model.state_dict())
    graphs = [torch.export.export(m.eval(), (batch,)).graph_module.code for m in (bare, model)]
    assert graphs[0] == graphs[1]
