import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sparsebench.models.adapters import AdapterSet, attach
from sparsebench.models.adapters.bottleneck import BottleneckConfig
from sparsebench.models.adapters.conv import ConvConfig
from sparsebench.models.adapters.criteria import CRITERIA, Evidence
from sparsebench.models.adapters.lora import LoRAConfig
from sparsebench.models.adapters.masked import MaskedLinear
from sparsebench.models.adapters.pruning import LargeSparse, sparsify
from sparsebench.models.counting import count_parameters

Build = Callable[[str], nn.Module]
LORA = LoRAConfig(r=4, init="normal")


def loss(model: nn.Module, batch: Tensor) -> Tensor:
    result = model(batch)
    logits = result if isinstance(result, Tensor) else result.logits
    return nn.functional.cross_entropy(logits.flatten(0, -2), torch.zeros(logits.flatten(0, -2).shape[0]).long())


def evidence(adapters: AdapterSet, example: Callable) -> dict:
    batches = [example(adapters.model, seed) for seed in range(2)]
    return {"batches": batches, "loss_fn": loss, "generator": torch.Generator().manual_seed(0)}


@pytest.mark.parametrize("config", [LORA, BottleneckConfig(r=3, init="normal")])
def test_snip_scores_equal_finite_differences(config: object, build: Build, example: Callable) -> None:
    """|dL/dm_i| at m = 1, by central differences in float64, for every weight of an adapter pair."""
    model = build("timm_vit").double()
    adapters = attach(model, config)
    batches = [example(model, seed).double() for seed in range(2)]
    layers = list(adapters.prunable().values())[:2]
    scores = CRITERIA["snip"](layers, Evidence(model=model, batches=batches, loss_fn=loss))
    step = 1e-4
    for layer, score in zip(layers, scores, strict=True):
        flat, expected = layer.weight.data.view(-1), score.view(-1)
        for i in range(0, len(flat), 7):
            original, values = flat[i].clone(), []
            for sign in (1, -1):
                flat[i] = original * (1 + sign * step)
                with torch.no_grad():
                    values.append(sum(loss(model, batch) for batch in batches))
            flat[i] = original
            difference = abs(values[0] - values[1]) / (2 * step)
            torch.testing.assert_close(difference, expected[i], rtol=1e-6, atol=1e-11)


@pytest.mark.parametrize("name", ["llama", "bert", "timm_vit"])
@pytest.mark.parametrize("method", sorted(CRITERIA))
@pytest.mark.parametrize("sparsity", [0.0, 0.37, 0.5, 0.95, 1.0])
def test_exact_counts(name: str, method: str, sparsity: float, build: Build, example: Callable) -> None:
    model = build(name)
    adapters = attach(model, LORA)
    total = sum(weight.numel() for weight in adapters.weights().values())
    report = sparsify(adapters, method=method, sparsity=sparsity, **evidence(adapters, example))
    kept = round((1 - sparsity) * total)
    masks = [layer.mask for layer in adapters.prunable().values()]
    assert sum(int(mask.sum()) for mask in masks) == kept == report.kept == adapters.count()
    assert [layer.kept for layer in report.layers] == [int(mask.sum()) for mask in masks]
    counts = count_parameters(model)
    assert counts.total - counts.nonzero == total - kept == report.total - report.kept
    assert counts.trainable == adapters.count(head=True)


@settings(deadline=None, max_examples=30)
@given(
    scores=st.lists(st.integers(0, 4), min_size=12, max_size=12).filter(lambda s: len(set(s)) > 1),
    sparsity=st.floats(0, 1),
)
def test_ties_go_to_the_earlier_position(scores: list[int], sparsity: float) -> None:
    layers = {"a": MaskedLinear(3, 2, bias=False), "b": MaskedLinear(2, 3, bias=False)}
    for layer, values in zip(layers.values(), (scores[:6], scores[6:]), strict=True):
        layer.weight.data = torch.tensor(values).float().view(layer.weight.shape)

    class Adapters:
        model = nn.ModuleDict(layers)

        def prunable(self) -> dict:
            return layers

    report = sparsify(Adapters(), method="magnitude", sparsity=sparsity)  # type: ignore[arg-type]
    ranked = sorted(range(12), key=lambda i: (-scores[i], i))
    expected = set(ranked[: round((1 - sparsity) * 12)])
    masks = torch.cat([layer.mask.flatten() for layer in layers.values()])
    assert {i for i in range(12) if masks[i]} == expected and report.kept == len(expected)
    if 0 < len(expected) < 12:
        last, out = scores[ranked[len(expected) - 1]], scores[ranked[len(expected)]]
        assert report.ties == (scores.count(last) if last == out else 0)


@pytest.mark.parametrize("config", [LORA, BottleneckConfig(r=4, init="normal")])
@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD])
def test_removed_weights_stay_zero(config: object, optimizer: type, build: Build, example: Callable) -> None:
    """Fifty steps with weight decay: removed entries are bit-identical +0, stored and effective; the others move."""
    model = build("timm_vit")
    adapters = attach(model, config)
    sparsify(adapters, sparsity=0.6, **evidence(adapters, example))
    before = copy.deepcopy(adapters.state_dict())
    extra = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
    stepper = optimizer(adapters.parameters(), lr=1e-2, weight_decay=0.1, **extra)
    model.train()
    for step in range(50):
        stepper.zero_grad()
        loss(model, example(model, step)).backward()
        stepper.step()
    for name, layer in adapters.prunable().items():
        zero = torch.zeros(int((~layer.mask).sum())).view(torch.int32)
        assert torch.equal(layer.weight[~layer.mask].view(torch.int32), zero)
        assert torch.equal(layer.effective()[~layer.mask].view(torch.int32), zero)
        assert (layer.weight[layer.mask] != before[f"{name}.weight"][layer.mask]).any() or not layer.mask.any()


@pytest.mark.parametrize("name", ["llama", "efficientnet"])
def test_sparsity_0_and_1(name: str, build: Build, example: Callable, run: Callable) -> None:
    config = LoRAConfig(r=4, init="normal", targets=("linears",))
    model = build(name)
    batch, base = example(model), run(model, example(model))
    adapters = attach(model, config)
    dense = run(model, batch)
    sparsify(adapters, method="magnitude", sparsity=0)
    assert torch.equal(run(model, batch), dense)
    sparsify(adapters, method="magnitude", sparsity=1)
    assert torch.equal(run(model, batch), base)


def test_masks_travel(build: Build, example: Callable, run: Callable) -> None:
    model = build("timm_vit")
    adapters = attach(model, LORA)
    sparsify(adapters, sparsity=0.5, **evidence(adapters, example))
    batch, result = example(model), run(model, example(model))
    fresh = attach(build("timm_vit"), LORA)
    fresh.load_state_dict(adapters.state_dict())
    assert torch.equal(run(fresh.model, batch), result) and fresh.count() == adapters.count()
    copied = copy.deepcopy(adapters)
    assert torch.equal(run(copied.model, batch), result) and copied.count() == adapters.count()
    dense = attach(build("timm_vit"), LORA)
    fresh.load_state_dict(dense.state_dict())
    assert fresh.count() == dense.count()


def test_merge_of_pruned_lora(build: Build, example: Callable, run: Callable) -> None:
    model = build("llama")
    adapters = attach(model, LORA)
    sparsify(adapters, sparsity=0.5, **evidence(adapters, example))
    batch, result = example(model), run(model, example(model))
    adapters.merge()
    torch.testing.assert_close(run(model, batch), result, atol=1e-5, rtol=1e-4)


def test_equal_shapes_are_both_pruned(build: Build, example: Callable) -> None:
    """r = width: down and up have one shape, which the released code confuses."""
    adapters = attach(build("timm_vit"), BottleneckConfig(r=32, init="normal"))
    report = sparsify(adapters, sparsity=0.5, **evidence(adapters, example))
    assert all(0 < layer.kept < layer.total for layer in report.layers)


def test_pruning_is_nested(build: Build, example: Callable) -> None:
    adapters = attach(build("timm_vit"), LORA)
    sparsify(adapters, sparsity=0.4, **evidence(adapters, example))
    first = [layer.mask.clone() for layer in adapters.prunable().values()]
    sparsify(adapters, method="random", sparsity=0.8, generator=torch.Generator().manual_seed(1))
    second = [layer.mask for layer in adapters.prunable().values()]
    assert not any((b & ~a).any() for a, b in zip(first, second, strict=True))
    with pytest.raises(ValueError, match="earlier pruning left only"):
        sparsify(adapters, method="magnitude", sparsity=0.1)


def test_scoring_leaves_gradients_and_modes(build: Build, example: Callable) -> None:
    model = build("bert").train()
    adapters = attach(model, LORA)
    one = CRITERIA["snip"](list(adapters.prunable().values()), Evidence(model=model, **evidence(adapters, example)))
    two = CRITERIA["snip"](list(adapters.prunable().values()), Evidence(model=model, **evidence(adapters, example)))
    assert model.training and all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))  # dropout is off


@pytest.mark.parametrize("config", [LoRAConfig(r=4), BottleneckConfig(r=4)])
def test_zero_factor_is_refused(config: object, build: Build, example: Callable) -> None:
    adapters = attach(build("timm_vit"), config)
    with pytest.raises(ValueError, match=r"all scores of method='snip' equal 0.*init='normal'"):
        sparsify(adapters, sparsity=0.5, **evidence(adapters, example))
    assert all(layer.mask is None for layer in adapters.prunable().values())


def test_conv_adapters_prune(build: Build, example: Callable, run: Callable) -> None:
    model = build("efficientnet")
    adapters = attach(model, ConvConfig(r=4, init="normal"))
    report = sparsify(adapters, sparsity=0.5, **evidence(adapters, example))
    assert report.kept == round(report.total / 2) and run(model, example(model)).isfinite().all()


def test_large_sparse_has_the_budget_of_the_dense_adapter(build: Build, example: Callable) -> None:
    plan, config = LargeSparse(base_r=4, factor=3), BottleneckConfig(r=4, init="normal")
    dense, sparse = attach(build("bert"), config), attach(build("bert"), plan.widen(config))
    assert (plan.r, next(iter(sparse.weights().values())).shape[0]) == (12, 12)
    with pytest.raises(ValueError, match="unequal budgets"):
        plan.verify(dense, sparse)
    sparsify(sparse, sparsity=plan.sparsity, **evidence(sparse, example))
    assert plan.verify(dense, sparse) == 2 * 2 * 32 * 4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "snipe"}, "did you mean 'snip'"),
        ({"sparsity": 1.5}, "fraction removed"),
        ({"method": "random", "generator": None}, "needs a generator"),
        ({"batches": None}, "needs batches"),
        ({"batches": []}, "got no batch"),
        ({"loss_fn": lambda model, batch: loss(model, batch) * float("nan")}, "NaN or infinite: nothing was pruned"),
    ],
)
def test_bad_input(fields: dict, message: str, build: Build, example: Callable) -> None:
    adapters = attach(build("timm_vit"), LORA)
    with pytest.raises(ValueError, match=message):
        sparsify(adapters, **({"sparsity": 0.5} | evidence(adapters, example) | fields))
    assert all(layer.mask is None for layer in adapters.prunable().values())
