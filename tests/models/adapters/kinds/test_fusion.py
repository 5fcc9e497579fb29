from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.adapters import adapter_sets, attach, sparsify
from sparsebench.models.adapters.config import AdapterConfig
from sparsebench.models.adapters.kinds.bottleneck import BottleneckConfig, ParallelAdapter
from sparsebench.models.adapters.kinds.fusion import FusionConfig, FusionLayer
from sparsebench.models.adapters.kinds.lora import LoRAConfig
from sparsebench.models.anatomy import describe
from sparsebench.models.errors import ModelError

from .test_bottleneck import formula

Build = Callable[[str], nn.Module]
FAMILIES = ("llama", "bert", "roberta", "vit", "timm_vit")
TASKS = {
    "a": BottleneckConfig(r=3, seed=1, scale=2.0),
    "b": BottleneckConfig(r=5, seed=2, norm="in", activation="relu"),
}


def with_tasks(model: nn.Module, *names: str) -> nn.Module:
    for name in names or TASKS:
        attach(model, TASKS[name], name)
        for parameter in adapter_sets(model)[name].parameters():
            parameter.data.normal_(0, 0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    return model


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_fusion_equals_the_formula(order: tuple[str, ...], build: Build) -> None:
    model = with_tasks(build("llama").double())
    adapters = attach(model, FusionConfig(adapters=order), "fused")
    for _, layer in adapters.layers():
        assert isinstance(layer, FusionLayer)
        for linear in (layer.query, layer.key, layer.value):
            linear.weight.data.normal_(0, 0.3, generator=torch.Generator().manual_seed(linear.weight.numel()))
    block = describe(model).blocks[0]
    x = torch.randn(2, 5, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        result, h = model.model.layers[0].mlp(x), block.mlp.site.get()(x)
        layer = model.model.layers[0].mlp
        tasks = {name: next(adapter_sets(model)[name].layers())[1] for name in TASKS}
        z = {name: TASKS[name].scale * formula(task.adapter, TASKS[name], h) for name, task in tasks.items()}
        scores = {n: ((h @ layer.query.weight.T) * (z[n] @ layer.key.weight.T)).sum(-1, keepdim=True).exp() for n in z}
        total = sum(scores.values())
        expected = h + sum(scores[n] / total * (z[n] @ layer.value.weight.T) for n in z)
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_fusion_of_one_adapter_is_that_adapter(family: str, build: Build, example: Callable, run: Callable) -> None:
    model = with_tasks(build(family), "a")
    batch = example(model)
    alone = run(model, batch)
    attach(model, FusionConfig(adapters=("a",)), "fused")
    assert torch.equal(run(model, batch), alone)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_fused_do_not_act_twice(family: str, build: Build, example: Callable, run: Callable) -> None:
    """With a score of 0 everywhere the change is the mean of the two changes, in either order of attachment."""
    batch, results = example(build(family)), []
    for order in (("a", "b"), ("b", "a")):
        model = with_tasks(build(family), *order)
        nested = run(model, batch)
        adapters = attach(model, FusionConfig(adapters=("a", "b")), "fused")
        for _, layer in adapters.layers():
            layer.query.weight.data.zero_()
        results.append(run(model, batch))
        assert not torch.allclose(results[-1], nested, atol=1e-3)
        adapters.disable()
        assert torch.equal(run(model, batch), nested)
        adapters.enable()
        assert torch.equal(run(model, batch), results[-1])
        adapter_sets(model)["b"].disable()
        only = run(with_tasks(build(family), "a"), batch)
        torch.testing.assert_close(run(model, batch), only, rtol=1e-5, atol=1e-6)
        adapter_sets(model)["a"].disable()
        assert torch.equal(run(model, batch), run(bare_with_head(model, build(family)), batch))
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-6)


def bare_with_head(model: nn.Module, fresh: nn.Module) -> nn.Module:
    """The heads were trained: the same head on a model without adapters."""
    describe(fresh).head.get().load_state_dict(describe(model).head.get().state_dict())
    return fresh


def test_removal_of_the_fused(build: Build, example: Callable, run: Callable) -> None:
    model = with_tasks(build("timm_vit"))
    adapters = attach(model, FusionConfig(adapters=("a", "b")), "fused")
    with pytest.raises(ModelError, match="adapters 'fused' are built on 'a': remove those first"):
        adapter_sets(model)["a"].remove()
    for one in (adapters, *(adapter_sets(model)[name] for name in TASKS)):
        one.remove()
    batch = example(model)
    assert torch.equal(run(model, batch), run(bare_with_head(model, build("timm_vit")), batch))


def test_pruning_of_a_fusion_and_of_what_it_fuses(build: Build, example: Callable, run: Callable) -> None:
    model = with_tasks(build("vit"))
    adapters = attach(model, FusionConfig(adapters=("a", "b")), "fused")
    assert adapters.count() == 2 * 3 * 32**2
    sparsify(adapters, method="magnitude", sparsity=0.5)
    assert adapters.count() == 3 * 32**2
    before = run(model, example(model))
    sparsify(adapter_sets(model)["a"], method="magnitude", sparsity=0.5)
    assert not torch.equal(run(model, example(model)), before)


def test_a_set_around_the_fused_ones(build: Build, example: Callable, run: Callable) -> None:
    """LoRA inside the FFN is attached later and a parallel adapter around it earlier; both act with the fusion."""
    model = build("llama")
    attach(model, BottleneckConfig(r=2, placement="parallel", init="normal"), "around")
    with_tasks(model)
    attach(model, FusionConfig(adapters=("a", "b")), "fused")
    before = run(model, example(model))
    inside = attach(model, LoRAConfig(r=2, targets=("down",), init="normal"), "inside")
    assert isinstance(model.model.layers[0].mlp, ParallelAdapter)
    assert isinstance(model.model.layers[0].mlp.base_layer, FusionLayer)
    assert not torch.equal(run(model, example(model)), before)
    inside.remove()
    assert torch.equal(run(model, example(model)), before)


@pytest.mark.parametrize(
    ("first", "config", "message"),
    [
        ({}, FusionConfig(adapters=("c",)), "adapters='c' is not one of a, b"),
        ({"c": BottleneckConfig(r=2, blocks=1)}, FusionConfig(adapters=("a", "c")), "in different places"),
        ({"c": BottleneckConfig(placement="parallel")}, FusionConfig(adapters=("c",)), "needs bottlenecks after"),
        ({"c": LoRAConfig()}, FusionConfig(adapters=("a", "c")), "in different places"),
        ({"c": BottleneckConfig(), "d": BottleneckConfig()}, FusionConfig(adapters=("a", "d")), "other adapters lie"),
    ],
)
def test_errors_leave_the_model_alone(first: dict, config: AdapterConfig, message: str, build: Build) -> None:
    model = with_tasks(build("llama"))
    for name, extra in first.items():
        attach(model, extra, name)
    before = [(name, parameter.requires_grad) for name, parameter in model.named_parameters()]
    with pytest.raises(ModelError, match=message):
        attach(model, config, "fused")
    assert [(name, parameter.requires_grad) for name, parameter in model.named_parameters()] == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FusionConfig(adapters=()), "must be names of attached sets"),
        (lambda: FusionConfig(adapters=("a", "a")), "each once"),
        (lambda: FusionConfig(adapters=("a",), blocks=1), "goes where its adapters are"),
    ],
)
def test_bad_configurations(make: Callable, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()
