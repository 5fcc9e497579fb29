"""Several sets on one model, merging, switching, copies, compilation."""

import copy
import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models import adapters as adapters_package
from sparsebench.models import load, save
from sparsebench.models.adapters import adapter_sets, attach, sparsify
from sparsebench.models.adapters.config import AdapterConfig, CombinedConfig
from sparsebench.models.adapters.kinds.bottleneck import BottleneckConfig
from sparsebench.models.adapters.kinds.conv import ConvConfig
from sparsebench.models.adapters.kinds.fusion import FusionConfig
from sparsebench.models.adapters.kinds.lora import LoRAConfig
from sparsebench.models.adapters.layer import FrozenNorm
from sparsebench.models.adapters.presets import preset
from sparsebench.models.anatomy import Wrapper, describe
from sparsebench.models.compression.trimming import drop_blocks
from sparsebench.models.errors import ModelError

from .conftest import shaken as shake

README = Path(__file__).parents[3] / "models" / "adapters" / "README.md"
Build = Callable[[str], nn.Module]
FAMILIES = ("llama", "bert", "roberta", "vit", "timm_vit")
LORA = LoRAConfig(r=4, targets=("linears",), init="normal")
AFTER = BottleneckConfig(r=5, init="normal")
PARALLEL = BottleneckConfig(r=5, placement="parallel", init="normal")
PFEIFFER = BottleneckConfig(r=5, placement="pfeiffer", init="normal", norm="in", scale="learned")


def snapshot(model: nn.Module) -> list[object]:
    """Names, classes, modes and flags of everything, and copies of all tensors."""
    modules = [(name, type(module), module.training) for name, module in model.named_modules()]
    flags = [(name, id(parameter), parameter.requires_grad) for name, parameter in model.named_parameters()]
    return [modules, flags, sorted(vars(model)), {key: value.clone() for key, value in model.state_dict().items()}]


def same(one: list, other: list) -> bool:
    return one[:-1] == other[:-1] and equal_tensors(one[-1], other[-1])


def equal_tensors(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(value, other[key]) for key, value in one.items())


def mixed_modes(model: nn.Module) -> nn.Module:
    """A model in train mode, with a block and a layer deep inside another one in eval mode."""
    blocks = describe(model.train()).blocks
    blocks[0].site.get().eval()
    blocks[-1].mlp.linears[-1].get().eval()
    return model


def mixed(model: nn.Module) -> nn.Module:
    """`mixed_modes`, with some frozen parameters too."""
    for parameter in list(model.parameters())[::3]:
        parameter.requires_grad_(False)
    return mixed_modes(model)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("family", [*FAMILIES, "efficientnet"])
def test_removal_in_any_order_restores_everything(family: str, order: tuple[int, ...], build: Build) -> None:
    model = mixed(build(family))
    before = snapshot(model)
    configs = (AFTER, LORA, PFEIFFER) if family != "efficientnet" else (ConvConfig(), LORA, ConvConfig(r=3))
    sets = [attach(model, config, str(number)) for number, config in enumerate(configs)]
    assert list(adapter_sets(model)) == ["0", "1", "2"]
    for number in order:
        sets[number].remove()
    assert same(snapshot(model), before) and adapter_sets(model) == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_names_do_not_depend_on_nesting(family: str, build: Build) -> None:
    """Alone, inside another set's wrappers or around them, a set calls its tensors the same."""
    configs = {"after": AFTER, "lora": LORA, "houlsby": preset("houlsby"), "parallel": PARALLEL}
    alone = {name: list(attach(build(family), config, name).state_dict()) for name, config in configs.items()}
    for order in (list(configs), list(configs)[::-1]):
        model = build(family)
        for name in order:
            attach(model, configs[name], name)
        for name, names in alone.items():
            adapters = adapter_sets(model)[name]
            assert list(adapters.state_dict()) == names
            assert not any(".base" in key for key in names) and len(set(names)) == len(names)
            assert all(place in dict(build(family).named_modules()) for place, _ in adapters.layers())


@pytest.mark.parametrize("family", FAMILIES)
def test_each_set_acts_alone_when_the_others_are_off(
    family: str, build: Build, example: Callable, run: Callable
) -> None:
    configs = {"after": AFTER, "lora": LORA, "pfeiffer": PFEIFFER}
    model, batch = build(family), example(build(family))
    before = run(model, batch)
    for name, config in configs.items():
        shake(attach(model, config, name))
    together = run(model, batch)
    for name, config in configs.items():
        single = build(family)
        shake(attach(single, config, name))
        for other, adapters in adapter_sets(model).items():
            (adapters.enable if other == name else adapters.disable)()
        assert torch.equal(run(model, batch), run(single, batch))
    for adapters in (*adapter_sets(model).values(), *adapter_sets(model).values()):
        adapters.disable()
    assert torch.equal(run(model, batch), before)
    for adapters in (*adapter_sets(model).values(), *adapter_sets(model).values()):
        adapters.enable()
    assert torch.equal(run(model, batch), together)


def test_a_set_trains_without_touching_the_others(build: Build, example: Callable) -> None:
    model = build("bert")
    first, second = shake(attach(model, LORA, "first")), shake(attach(model, PFEIFFER, "second"))
    first.requires_grad_(False)
    before = copy.deepcopy(first.state_dict()), copy.deepcopy(second.state_dict())
    model.train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1)
    for step in range(3):
        model(example(model, step)).logits.square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    head = "classifier."
    for key, value in first.state_dict().items():
        assert torch.equal(value, before[0][key]) == (not key.startswith(head)), key
    assert not any(torch.equal(value, before[1][key]) for key, value in second.state_dict().items())


def test_parameters_that_a_state_puts_in_the_place_of_others_get_their_gradient_back(
    build: Build, tmp_path: Path
) -> None:
    """`load_state_dict(assign=True)` makes new parameters, with adapters on the model and after it was loaded."""
    plain = build("llama")
    plain.model.norm.requires_grad_(False)
    before = {name: parameter.requires_grad for name, parameter in plain.named_parameters()}
    model = copy.deepcopy(plain)
    attach(model, LoRAConfig(r=2, train_head=False))
    save(model, tmp_path / "saved")
    loaded = load(tmp_path / "saved")
    for one, expected in ((model, before), (loaded, dict.fromkeys(before, True))):
        one.load_state_dict(copy.deepcopy(one.state_dict()), assign=True)
        adapter_sets(one)["default"].remove()
        assert {name: parameter.requires_grad for name, parameter in one.named_parameters()} == expected


def test_after_blocks_are_dropped_nothing_else_trains_and_nothing_is_half_undone(build: Build) -> None:
    model = build("llama")
    kept = model.model.layers[1].requires_grad_(False)
    merged = shake(attach(model, LORA))
    merged.merge()
    before = snapshot(kept)
    drop_blocks(model, [0])
    with pytest.raises(ModelError, match="has changed since"):
        merged.unmerge()
    assert equal_tensors(snapshot(kept)[-1], before[-1])
    other = build("llama")
    other.model.layers[1].requires_grad_(False)
    adapters = attach(other, LORA)
    drop_blocks(other, [0])
    adapters.remove()
    trained = {name for name, value in other.named_parameters() if value.requires_grad}
    assert trained == {name for name, _ in other.named_parameters() if "layers." not in name}


def test_the_head_trains_as_long_as_a_set_trains_it(build: Build) -> None:
    model = build("timm_vit")
    first = attach(model, LoRAConfig(train_head=False), "first")
    assert not model.head.weight.requires_grad
    second = attach(model, AFTER, "second")
    assert model.head.weight.requires_grad
    second.remove()
    assert not model.head.weight.requires_grad
    first.remove()
    assert model.head.weight.requires_grad


MERGING = [
    *((family, LORA) for family in (*FAMILIES, "qwen3", "efficientnet")),
    ("timm_vit", LoRAConfig(init="normal")),
]


@pytest.mark.parametrize(("family", "config"), MERGING)
@pytest.mark.parametrize("sparsity", [0.0, 0.7])
def test_unmerge_is_exact(
    family: str, config: AdapterConfig, sparsity: float, build: Build, example: Callable, run: Callable
) -> None:
    model = mixed(build(family))
    bare = snapshot(model)
    adapters = shake(attach(model, config))
    sparsify(adapters, method="random", sparsity=sparsity, generator=torch.Generator().manual_seed(0))
    attached, batch = snapshot(model), example(model)
    model.eval()
    adapted = run(model, batch)
    mixed_modes(model)
    adapters.merge()
    merged = snapshot(model)
    assert merged[0] == bare[0] and merged[1] == bare[1] and not equal_tensors(merged[3], bare[3])
    model.eval()
    torch.testing.assert_close(run(model, batch), adapted, atol=1e-4, rtol=1e-4)
    mixed_modes(model)
    adapters.unmerge()
    assert same(snapshot(model), attached)
    adapters.remove()
    assert same(snapshot(model), bare)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_unmerge_is_exact_in_other_widths(dtype: torch.dtype, build: Build) -> None:
    model = build("llama").to(dtype)
    adapters = shake(attach(model, LORA))
    before = snapshot(model)
    for _ in range(3):
        adapters.merge()
        adapters.unmerge()
    assert same(snapshot(model), before)


@pytest.mark.parametrize("order", [("one", "two", "three"), ("three", "one", "two"), ("two", "three", "one")])
def test_nested_sets_unmerge_last_first(order: tuple[str, ...], build: Build, example: Callable, run: Callable) -> None:
    """Three LoRA sets on the same weights, merged in any order, unmerge in the reverse one only."""
    model, batch = build("llama"), example(build("llama"))
    for number, name in enumerate(("one", "two", "three")):
        shake(attach(model, dataclasses.replace(LORA, seed=number), name), seed=number)
    sets, before, adapted = adapter_sets(model), snapshot(model), run(model, batch)
    for name in order:
        sets[name].merge()
        torch.testing.assert_close(run(model, batch), adapted, atol=1e-4, rtol=1e-4)
    merged = snapshot(model)
    for name in order[:-1]:
        with pytest.raises(ModelError, match=f"changed since adapters '{name}' were merged: undo that first"):
            sets[name].unmerge()
        assert same(snapshot(model), merged)
    for name in order[::-1]:
        sets[name].unmerge()
    now = snapshot(model)
    assert now[0] == before[0] and equal_tensors(now[3], before[3])
    assert torch.equal(run(model, batch), adapted)


def test_a_set_attached_since_must_go_before_unmerge(build: Build) -> None:
    model = build("llama")
    first = shake(attach(model, LORA, "first"))
    before = snapshot(model)
    first.merge()
    second = attach(model, LORA, "second")
    with pytest.raises(ModelError, match="unmerge or remove the newest first"):
        first.unmerge()
    second.remove()
    first.unmerge()
    assert same(snapshot(model), before)


def test_merging_below_and_beside_others(build: Build, example: Callable, run: Callable) -> None:
    """LoRA merges under a bottleneck that wraps it; one over a bottleneck does not."""
    model, batch = build("llama"), example(build("llama"))
    shake(attach(model, preset("houlsby"), "houlsby"))
    lora = shake(attach(model, LORA, "lora"))
    adapted = run(model, batch)
    lora.merge()
    torch.testing.assert_close(run(model, batch), adapted, atol=1e-4, rtol=1e-4)
    assert list(adapter_sets(model)) == ["houlsby"]
    lora.unmerge()
    assert torch.equal(run(model, batch), adapted)
    other = build("llama")
    first = attach(other, LORA, "lora")
    attach(other, preset("houlsby"), "houlsby")
    before = snapshot(other)
    with pytest.raises(ModelError, match="adapters 'houlsby' lie below 'lora': merge those first"):
        first.merge()
    assert same(snapshot(other), before)


@pytest.mark.parametrize(
    "config", [AFTER, PARALLEL, PFEIFFER, CombinedConfig(parts=(AFTER, LoRAConfig(targets=("q",))))]
)
def test_merging_what_is_not_linear_is_refused(config: AdapterConfig, build: Build) -> None:
    model = build("bert")
    adapters = shake(attach(model, config))
    before = snapshot(model)
    with pytest.raises(ModelError, match="Adapter is not linear in its input and cannot be merged"):
        adapters.merge()
    assert same(snapshot(model), before)


def test_acting_on_a_set_that_is_not_there(build: Build) -> None:
    model = build("bert")
    adapters = attach(model, LORA)
    with pytest.raises(ModelError, match="'default' are not merged: unmerge"):
        adapters.unmerge()
    adapters.disable()
    with pytest.raises(ModelError, match=r"are disabled: enable\(\) them before merge"):
        adapters.merge()
    adapters.enable()
    adapters.merge()
    before = snapshot(model)
    for act in (adapters.merge, adapters.remove, adapters.enable, adapters.disable):
        with pytest.raises(ModelError, match="are not on the model: they were removed or merged"):
            act()
    assert same(snapshot(model), before)
    adapters.unmerge()
    with pytest.raises(ModelError, match="are not merged"):
        adapters.unmerge()
    adapters.remove()
    for act in (adapters.merge, adapters.remove, adapters.disable):
        with pytest.raises(ModelError, match="are not on the model"):
            act()
    with pytest.raises(ModelError, match="are not merged"):
        adapters.unmerge()


def test_pruning_an_empty_set(build: Build) -> None:
    adapters = attach(build("bert"), LORA)
    adapters.remove()
    with pytest.raises(ModelError):
        sparsify(adapters, method="magnitude", sparsity=0.5)


@pytest.mark.parametrize("name", ["", None, 3])
def test_bad_names(name: object, build: Build) -> None:
    with pytest.raises(ModelError, match="must be a word"):
        attach(build("bert"), LORA, name)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
@pytest.mark.parametrize("family", [*FAMILIES, "efficientnet"])
def test_copies_are_apart(family: str, how: str, build: Build, example: Callable, run: Callable) -> None:
    """A copy of the model alone carries copies of its sets, which act on it; a pair stays a pair."""
    model, batch = build(family), example(build(family))
    configs = {"one": LORA, "two": AFTER if family != "efficientnet" else ConvConfig(init="normal")}
    for name, config in configs.items():
        shake(attach(model, config, name))
    sparsify(adapter_sets(model)["one"], method="magnitude", sparsity=0.5)
    result, before = run(model, batch), snapshot(model)

    def duplicate(value: object) -> object:
        return copy.deepcopy(value) if how == "deepcopy" else pickle.loads(pickle.dumps(value))

    alone: nn.Module = duplicate(model)  # pyright: ignore[reportAssignmentType]
    other, kept = duplicate((model, adapter_sets(model)["one"]))  # pyright: ignore[reportGeneralTypeIssues]
    assert adapter_sets(other)["one"] is kept
    for twin in (alone, other):
        assert torch.equal(run(twin, batch), result) and list(adapter_sets(twin)) == ["one", "two"]
        for name, adapters in adapter_sets(twin).items():
            assert adapters.model is twin
            shake(adapters, seed=7)
            adapters.disable()
            assert equal_tensors(snapshot(model)[3], before[3]), name
        for adapters in adapter_sets(twin).values():
            adapters.remove()
        assert not any(isinstance(module, Wrapper) for module in twin.modules())
        assert all(parameter.requires_grad for parameter in twin.parameters())
    assert same(snapshot(model), before) and torch.equal(run(model, batch), result)


def test_batch_norms_freeze_again_after_unmerge(build: Build, example: Callable) -> None:
    model = build("efficientnet")
    adapters = attach(model, LORA)
    adapters.merge()
    assert not any(isinstance(module, FrozenNorm) for module in model.modules())
    model.train()
    adapters.unmerge()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    buffers = [norm.running_mean.clone() for norm in norms]
    model.train()
    model(example(model))
    assert all(torch.equal(norm.running_mean, old) for norm, old in zip(norms, buffers, strict=True))
    adapters.remove()
    assert all(norm.training for norm in norms)


KINDS = {
    "lora": LORA,
    "parallel": PARALLEL,
    "houlsby": preset("houlsby", r=4),
    "pfeiffer": PFEIFFER,
    "mam": preset("mam"),
    "sequential": AFTER,
    "other": BottleneckConfig(r=3, init="normal"),
}


def in_last_block(config: AdapterConfig) -> AdapterConfig:
    if isinstance(config, CombinedConfig):
        return dataclasses.replace(config, parts=tuple(in_last_block(part) for part in config.parts))
    return dataclasses.replace(config, blocks=1)


@pytest.mark.parametrize("family", [*FAMILIES, "efficientnet"])
def test_compiles_as_one_graph(family: str, build: Build, example: Callable) -> None:
    """Sets of all kinds on one model, pruned, and a fusion: outputs and gradients are those of eager mode."""
    model = build(family)
    kinds = KINDS if family != "efficientnet" else {"lora": LORA, "conv": ConvConfig(r=4, init="normal")}
    sets = [shake(attach(model, in_last_block(config), name)) for name, config in kinds.items()]
    for adapters in sets:
        sparsify(adapters, method="magnitude", sparsity=0.5)
    if family != "efficientnet":
        shake(attach(model, FusionConfig(adapters=("sequential", "other")), "fused"))
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    results = []
    for call in (model, torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=False)):
        result = call(example(model))
        logits = result if isinstance(result, Tensor) else result.logits
        logits.square().mean().backward()
        results.append([logits.detach(), *(parameter.grad for parameter in parameters)])
        model.zero_grad()
    torch.compiler.reset()
    assert all(bool(gradient.any()) for gradient in results[0])
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


def test_the_example_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = README.read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    with torch.random.fork_rng():
        exec(code, names)
    assert names["adapters"].count() < 2 * (2 * 32 * 16 + 16 + 32) and (tmp_path / "reviews").is_dir()


def test_every_kind_is_in_the_readme() -> None:
    text = README.read_text(encoding="utf-8")
    kinds = [name for name in adapters_package.__all__ if name.endswith("Config") and name != "AdapterConfig"]
    assert len(kinds) > 9 and not [name for name in kinds if f"`{name}" not in text]


def test_a_set_prints_in_one_line(build: Build) -> None:
    adapters = attach(build("timm_vit"), LoRAConfig(r=2, init="normal"), "mine")
    text = repr(adapters)
    assert "\n" not in text and len(text) < 300
    assert "'mine' on VisionTransformer: 2 layers" in text and f"{adapters.count():,} parameters" in text
    assert all(name in adapters._repr_html_() for name in adapters.modules())
    report = sparsify(adapters, method="magnitude", sparsity=0.5)
    assert len(repr(report)) < 200 and report.layers[0].name in report._repr_html_()


def test_merging_leaves_tied_layers_alone(build: Build) -> None:
    """Each of two layers with one weight would get the update of the other, too."""
    model: Any = build("llama")
    tied = [layer.mlp.down_proj for layer in model.model.layers[:2]]
    tied[1].weight = tied[0].weight
    adapters = attach(model, LoRAConfig(r=2, targets=("down",), init="normal"))
    weight = tied[0].weight.clone()
    with pytest.raises(ModelError, match=r"down_proj shares a parameter with another module"):
        adapters.merge()
    assert torch.equal(tied[0].weight, weight)
    adapters.check_attached()
