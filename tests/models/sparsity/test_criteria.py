"""Every score against its definition: finite differences or autograd in float64."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters.adapter_set import AdapterSet
from sparsebench.models.adapters.attachment import attach
from sparsebench.models.adapters.kinds.bottleneck import BottleneckConfig
from sparsebench.models.adapters.kinds.conv import ConvConfig
from sparsebench.models.adapters.kinds.lora import LoRAConfig
from sparsebench.models.adapters.pruning.adapter_units import pairs
from sparsebench.models.adapters.pruning.sparsify import sparsify
from sparsebench.models.sparsity import criteria
from sparsebench.models.sparsity.bottleneck_units import unit_sums
from sparsebench.models.sparsity.masked import Masked
from sparsebench.models.sparsity.scoring import CRITERIA, Evidence

from ..adapters.pruning_tools import LORA, BareSet, Pairs, evidence, loss, masks

Build = Callable[[str], nn.Module]
CONFIGS = {
    "lora": LORA,
    "bottleneck": BottleneckConfig(r=3, init="normal"),
    "tanh": BottleneckConfig(r=3, init="normal", activation="tanh"),
}


class Quadratic:
    """L = 1/2 w^T M w + b w in two batches, with the parts of w as two parameters: gradient and Hessian are known."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        half = torch.randn(5, 5, generator=generator, dtype=torch.float64)
        self.matrix = half @ half.T
        self.slope = torch.randn(5, generator=generator, dtype=torch.float64)
        self.weights = [nn.Parameter(torch.randn(size, generator=generator).double()) for size in (2, 3)]
        self.unused = nn.Parameter(torch.ones(4, dtype=torch.float64))

    def losses(self) -> list[Tensor]:
        w = torch.cat(self.weights)
        return [w @ self.matrix @ w / 2, self.slope @ w]

    def flat(self) -> Tensor:
        return torch.cat(self.weights).detach()


def test_on_a_quadratic_loss() -> None:
    """Criteria know nothing of layers: any parameters will do, also some that the loss does not depend on."""
    given = Quadratic()
    w = given.flat()
    gradient = given.matrix @ w + given.slope
    weights = [*given.weights, given.unused]
    *snip, nothing = criteria.snip(weights, given.losses)
    torch.testing.assert_close(torch.cat(snip), (w * gradient).abs())
    assert not nothing.any()
    *grasp, nothing = criteria.grasp(weights, given.losses)
    torch.testing.assert_close(torch.cat(grasp), w * (given.matrix @ gradient))
    assert not nothing.any()
    masks = [torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 1.0, 1.0]).double()]
    masked = criteria.grasp(given.weights, given.losses, masks)
    torch.testing.assert_close(torch.cat(masked), w * (given.matrix @ (gradient * torch.cat(masks))))


def test_criteria_without_data() -> None:
    weights = [torch.tensor([[-2.0, 1.0]]), torch.tensor([0.5])]
    assert [score.tolist() for score in criteria.magnitude(weights)] == [[[2.0, 1.0]], [0.5]]
    drawn = criteria.random(weights, torch.Generator().manual_seed(3))
    again = criteria.random(weights, torch.Generator().manual_seed(3))
    assert [score.shape for score in drawn] == [weight.shape for weight in weights]
    assert all(torch.equal(one, other) for one, other in zip(drawn, again, strict=True))


def test_synflow_of_nothing_is_nothing() -> None:
    down, up = criteria.synflow(torch.ones(3, 2), torch.zeros(4, 3))
    assert not down.any() and not up.any() and down.dtype == up.dtype == torch.float64


def grown(adapters: AdapterSet, factor: float = 10) -> AdapterSet:
    """Weights far enough from 0 for second derivatives to matter."""
    for weight in adapters.weights().values():
        weight.data.mul_(factor)
    return adapters


def total_loss(model: nn.Module, batches: Sequence[Tensor]) -> Tensor:
    losses = [loss(model, batch) for batch in batches]
    return torch.stack(losses).sum()


def entries(layer: Masked, every: int) -> list[tuple[int, Tensor]]:
    flat = layer.stored.data.view(-1)
    return [(i, flat) for i in range(0, len(flat), every)]


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("pruned", [False, True])
def test_snip_equals_finite_differences(name: str, pruned: bool, build: Build, example: Callable) -> None:
    """|L(m_i = 1 + e) - L(m_i = 1 - e)| / 2e for a mask m on the weights."""
    model = build("timm_vit").double()
    adapters = attach(model, CONFIGS[name])
    if pruned:
        sparsify(adapters, method="magnitude", sparsity=0.4)
    batches = [example(model, seed).double() for seed in range(2)]
    layers = list(adapters.prunable().values())[:2]
    scores = CRITERIA["snip"](layers, Evidence(model=model, batches=batches, loss_fn=loss))
    step = 1e-4
    for layer, score in zip(layers, scores, strict=True):
        for i, flat in entries(layer, 7):
            original, values = flat[i].clone(), []
            for sign in (1, -1):
                flat[i] = original * (1 + sign * step)
                with torch.no_grad():
                    values.append(total_loss(model, batches))
            flat[i] = original
            difference = abs(values[0] - values[1]) / (2 * step)
            torch.testing.assert_close(difference, score.flatten()[i], rtol=1e-6, atol=1e-11)


def squared_gradient(model: nn.Module, batches: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    with torch.enable_grad():
        return torch.stack([g.square().sum() for g in torch.autograd.grad(total_loss(model, batches), weights)]).sum()


@pytest.mark.parametrize("copies", [1, 8])  # with 8 LoRA takes its own backward pass
@pytest.mark.parametrize("name", CONFIGS)
def test_grasp_equals_finite_differences(name: str, copies: int, build: Build, example: Callable) -> None:
    """-1/2 d|g|^2/de for w_i (1 - e): the change of the gradient norm as the weight starts to go."""
    model = build("timm_vit").double()
    adapters = grown(attach(model, CONFIGS[name]))
    batches = [example(model, seed).double().repeat(copies, 1, 1, 1) for seed in range(2)]
    layers = list(adapters.prunable().values())
    weights = [layer.stored for layer in layers]
    scores = CRITERIA["grasp"](layers, Evidence(model=model, batches=batches, loss_fn=loss))
    assert any((score < 0).any() for score in scores) and any((score > 0).any() for score in scores)
    step = 1e-4
    scale = max(float(score.abs().max()) for score in scores)
    for layer, score in zip(layers, scores, strict=True):
        for i, flat in entries(layer, 31):
            original, values = flat[i].clone(), []
            for sign in (1, -1):
                flat[i] = original * (1 - sign * step)
                values.append(squared_gradient(model, batches, weights))
            flat[i] = original
            slope = (values[0] - values[1]) / (2 * step)
            torch.testing.assert_close(-slope / 2, score.flatten()[i], rtol=1e-6, atol=1e-7 * scale)


def flow(pair: Pairs) -> list[Tensor]:
    """The definition: |w dR/dw| / R by autograd with R = 1^T |U| |D| 1, without biases, norm or activation."""
    down, up = (layer.effective().detach().double().abs().requires_grad_() for layer in (pair.down, pair.up))
    result = (up.flatten(1) @ down.flatten(1)).sum().log()
    return [weight * slope for weight, slope in zip((down, up), torch.autograd.grad(result, (down, up)), strict=True)]


@pytest.mark.parametrize("pruned", [False, True])
def test_synflow_equals_autograd(pruned: bool) -> None:
    adapters = BareSet(Pairs(6, 3, norm=True), Pairs(5, 4, act=nn.GELU(), out=7))
    if pruned:
        sparsify(adapters, method="magnitude", sparsity=0.4)  # type: ignore[arg-type]
    layers = list(adapters.prunable().values())
    scores = CRITERIA["synflow"](layers, Evidence(model=adapters.model, pairs=pairs(adapters)))  # type: ignore[arg-type]
    expected = [weight for pair in adapters.model for weight in flow(pair)]
    for layer, score, dense in zip(layers, scores, expected, strict=True):
        assert score.dtype == torch.float64
        torch.testing.assert_close(layer.spread(score), dense.detach(), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("family", "config"),
    [
        ("timm_vit", LORA),
        ("bert", BottleneckConfig(r=5, init="normal", norm="in")),
        ("efficientnet", ConvConfig(r=3, init="normal")),
        ("efficientnet", LoRAConfig(r=3, init="normal", targets=("linears",))),
    ],
)
def test_synflow_is_conserved(family: str, config: object, build: Build) -> None:
    """What flows into a unit flows out of it, and all weights have the same sum; float64 with a float32 model."""
    adapters = attach(build(family), config)
    found, layers = pairs(adapters), list(adapters.prunable().values())
    scores = CRITERIA["synflow"](layers, Evidence(model=adapters.model, pairs=found))
    by_layer = {id(layer): layer.spread(score) for layer, score in zip(layers, scores, strict=True)}
    assert len(found) == len(layers) // 2
    for pair in found:
        into, out = unit_sums(by_layer[id(pair.down)], 0), unit_sums(by_layer[id(pair.up)], 1)
        torch.testing.assert_close(into, out, rtol=1e-12, atol=0)
        torch.testing.assert_close(into.sum(), torch.ones((), dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("rounds", [None, 1])
def test_synflow_in_rounds_empties_no_layer_first(rounds: int | None, build: Build) -> None:
    """At 99 % in 100 rounds every weight keeps entries, and every unit both sides or none; not so in one round."""
    adapters = attach(build("timm_vit"), BottleneckConfig(r=16, init="normal", placement="houlsby"))
    for i, weight in enumerate(adapters.weights().values()):
        weight.data.mul_(1 + i % 3)  # adapters of unequal flow
    report = sparsify(adapters, method="synflow", sparsity=0.99, rounds=rounds)
    halves = sum(int(((unit_sums(p.down.mask, 0) > 0) != (unit_sums(p.up.mask, 1) > 0)).sum()) for p in pairs(adapters))
    if rounds is None:
        assert min(layer.kept for layer in report.layers) > 0 and halves <= 1, (report.layers, halves)
    else:
        assert halves > 5, halves


@pytest.mark.parametrize("method", ["snip", "grasp", "synflow"])
def test_reduced_precision_scores_like_float32(method: str, build: Build, example: Callable) -> None:
    """Adapters keep float32 masters with a bfloat16 model: most of the choice is the same."""
    chosen = []
    for dtype in (torch.float32, torch.bfloat16):
        model = build("llama").to(dtype)
        adapters = attach(model, LORA)
        sparsify(adapters, method=method, sparsity=0.5, **evidence(adapters, example))
        chosen.append(torch.cat([mask.flatten() for mask in masks(adapters)]))
    assert (chosen[0] == chosen[1]).float().mean() > 0.9
