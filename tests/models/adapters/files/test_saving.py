import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from sparsebench.models.adapters import AdapterSet, adapter_sets, attach, remove_dead_units, sparsify
from sparsebench.models.adapters.config import KINDS, AdapterConfig, CombinedConfig
from sparsebench.models.adapters.files.saving import FURTHER, load_adapters, save_adapters, size_report
from sparsebench.models.adapters.kinds.bottleneck import BottleneckConfig
from sparsebench.models.adapters.kinds.conv import ConvConfig
from sparsebench.models.adapters.kinds.convpass import ConvpassConfig
from sparsebench.models.adapters.kinds.fact import FacTConfig
from sparsebench.models.adapters.kinds.fusion import FusionConfig
from sparsebench.models.adapters.kinds.lora import LoRAConfig
from sparsebench.models.adapters.kinds.rep_adapter import RepAdapterConfig
from sparsebench.models.adapters.kinds.shared_parallel import StreamConfig
from sparsebench.models.adapters.presets import preset
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert

from ....packages import installed
from ..conftest import noise

Build = Callable[[str], nn.Module]
HOULSBY = BottleneckConfig(r=6, placement="houlsby", norm="in", scale="learned", init="normal")
PARTS = (BottleneckConfig(r=6, placement="parallel", scale=4.0), LoRAConfig(r=4, alpha=8))
CASES = [
    ("llama", LoRAConfig(r=4, targets=("linears",), blocks=1, seed=3)),
    ("bert", HOULSBY),
    ("roberta", BottleneckConfig(r=6, placement="pfeiffer", bias=False)),
    ("vit", CombinedConfig(parts=PARTS)),
    ("timm_vit", BottleneckConfig(r=6, train_head=False)),
    ("efficientnet", ConvConfig(r=4)),
    ("bert", preset("mam")),
    ("timm_vit", ConvpassConfig(r=4, parts=("attention",))),
    ("timm_vit", StreamConfig(scale="channel")),
    ("timm_vit", FacTConfig(r=4)),
    ("roberta", RepAdapterConfig(r=4)),
]


def shake(adapters: AdapterSet) -> AdapterSet:
    """Other values than `attach` gives, in every parameter."""
    noise(adapters.parameters())
    return adapters


def prune(adapters: AdapterSet, sparsity: float) -> AdapterSet:
    sparsify(adapters, method="random", sparsity=sparsity, generator=torch.Generator().manual_seed(0))
    return adapters


@pytest.mark.parametrize(("family", "config"), CASES)
@pytest.mark.parametrize("sparsity", [0.0, 0.6, 1.0])
def test_load_gives_the_same_outputs(
    family: str, config: AdapterConfig, sparsity: float, build: Build, example: Callable, run: Callable, tmp_path: Path
) -> None:
    model = build(family)
    adapters = shake(attach(model, config, "mine"))
    prune(adapters, sparsity)
    save_adapters(adapters, tmp_path / "folder")
    fresh = build(family)
    loaded = load_adapters(fresh, tmp_path / "folder")
    assert torch.equal(run(fresh, example(model)), run(model, example(model)))
    assert loaded.config == config and loaded.name == "mine" and loaded.count() == adapters.count()
    same(loaded, adapters)


def same(one: AdapterSet, other: AdapterSet) -> None:
    states = one.state_dict(), other.state_dict()
    assert list(states[0]) == list(states[1])
    for left, right in zip(*(state.values() for state in states), strict=True):
        assert left.dtype == right.dtype and torch.equal(left, right)


def test_removed_units(build: Build, example: Callable, run: Callable, tmp_path: Path) -> None:
    """Layers that became narrower than the configuration says, dense and pruned."""
    for granularity in ("unit", "weight"):
        model = build("bert")
        adapters = shake(attach(model, BottleneckConfig(r=16, placement="houlsby")))
        generator = torch.Generator().manual_seed(0)
        sparsify(adapters, method="random", sparsity=0.9, granularity=granularity, generator=generator)
        removed = remove_dead_units(adapters)
        widths = {layer.shape for layer in adapters.prunable().values()}
        assert len(widths) > 1 and (granularity == "unit" or sum(removed.values()) > 0)
        save_adapters(adapters, tmp_path)
        fresh = build("bert")
        loaded = load_adapters(fresh, tmp_path)
        assert torch.equal(run(fresh, example(model)), run(model, example(model)))
        same(loaded, adapters)


def test_loaded_adapters_train_on(build: Build, example: Callable, tmp_path: Path) -> None:
    """The state of a pruned set after a step is the same as without saving in between."""
    results = []
    for through_file in (False, True):
        model = build("timm_vit")
        adapters = prune(shake(attach(model, LoRAConfig(r=4))), 0.5)
        if through_file:
            save_adapters(adapters, tmp_path)
            model = build("timm_vit")
            adapters = load_adapters(model, tmp_path)
        optimizer = torch.optim.AdamW(adapters.parameters(), lr=1e-2)
        model(example(model)).square().mean().backward()
        optimizer.step()
        results.append(adapters)
    same(*results)


def test_fusion_and_several_sets(build: Build, example: Callable, run: Callable, tmp_path: Path) -> None:
    model, fresh = build("llama"), build("llama")
    configs = {"a": BottleneckConfig(r=3), "b": BottleneckConfig(r=5, seed=1), "ab": FusionConfig(adapters=("a", "b"))}
    for name, config in configs.items():
        shake(attach(model, config, name))
    for name in configs:
        save_adapters(adapter_sets(model)[name], tmp_path / name)
    with pytest.raises(ModelError, match="adapters='a' is not one of"):
        load_adapters(fresh, tmp_path / "ab")
    for name in configs:
        load_adapters(fresh, tmp_path / name)
    assert torch.equal(run(fresh, example(model)), run(model, example(model)))
    assert not any("adapter" in name for name in adapter_sets(model)["ab"].state_dict())


def test_under_another_name_beside_itself(build: Build, tmp_path: Path) -> None:
    model = build("vit")
    save_adapters(shake(attach(model, LoRAConfig(r=4), "first")), tmp_path)
    with pytest.raises(ModelError, match="carries adapters named 'first' already"):
        load_adapters(model, tmp_path)
    second = load_adapters(model, tmp_path, name="second")
    assert list(adapter_sets(model)) == ["first", "second"]
    same(second, adapter_sets(model)["first"])


@pytest.mark.parametrize("config", [BottleneckConfig(r=64), LoRAConfig(r=64), BottleneckConfig(placement="houlsby")])
def test_file_size(config: AdapterConfig, tmp_path: Path) -> None:
    """4 bytes per weight left, a bit per weight there was, what is not pruned, and 4 KB of names for 24 layers."""
    model = timm.create_model("vit_small_patch16_224", num_classes=10)
    adapters = attach(model, config)
    save_adapters(adapters, tmp_path / "dense")
    report = size_report(prune(adapters, 0.95))
    save_adapters(adapters, tmp_path / "sparse")
    dense, sparse = (sum(file.stat().st_size for file in (tmp_path / name).iterdir()) for name in ("dense", "sparse"))
    layers = adapters.prunable().values()
    total, kept = sum(layer.shape.numel() for layer in layers), sum(layer.stored.numel() for layer in layers)
    unpruned = 4 * (adapters.count(head=True) - kept)
    header = 4096 * max(1, len(layers) / 24)
    assert kept == round(0.05 * total)
    assert sparse <= 4 * kept + total / 8 + unpruned + header
    head = 4 * 385 * 10
    assert sparse - head <= 0.10 * (dense - head)
    assert report.head == head
    assert 0 <= sparse - report.stored - head <= header and 0 <= dense - report.dense - head <= 2 * header


@pytest.fixture
def saved(build: Build, tmp_path: Path) -> Path:
    save_adapters(prune(attach(build("bert"), LoRAConfig(r=4)), 0.5), tmp_path)
    return tmp_path


def change(folder: Path, **changes: object) -> None:
    description = json.loads((folder / "adapters.json").read_text())
    (folder / "adapters.json").write_text(json.dumps(description | changes))


LORA = {"kind": "LoRAConfig", "fields": {"r": 4}}
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no description": (lambda f: (f / "adapters.json").unlink(), "has no adapters.json"),
    "no tensors": (lambda f: (f / "adapters.safetensors").unlink(), "has no adapters.safetensors"),
    "no json": (lambda f: (f / "adapters.json").write_text("{"), "cannot be read"),
    "no safetensors": (lambda f: (f / "adapters.safetensors").write_bytes(b"x" * 99), "cannot be read"),
    "no format": (lambda f: (f / "adapters.json").write_text("{}"), "cannot be read"),
    "newer": (lambda f: change(f, format=3), "has format 3, newer than 2: update"),
    "other model": (lambda f: change(f, model="Bart"), "adapters of a Bart, not of a BertForSequenceClassification"),
    "kind": (lambda f: change(f, config=LORA | {"kind": "LoraConfig"}), "did you mean 'LoRAConfig'"),
    "field": (lambda f: change(f, config=LORA | {"fields": {"rank": 4}}), "does not know these adapters.*rank"),
    "value": (lambda f: change(f, config=LORA | {"fields": {"r": 0}}), "r=0 must be"),
    "other places": (lambda f: change(f, config=LORA | {"fields": {"r": 4, "blocks": 1}}), "does not fit.*unexpected"),
    "other rank": (lambda f: change(f, config=LORA | {"fields": {"r": 3}}), "does not fit"),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_errors_leave_the_model_alone(damage: str, saved: Path, build: Build) -> None:
    break_it, message = BROKEN[damage]
    break_it(saved)
    model = build("bert")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ModelError, match=message):
        load_adapters(model, saved)
    assert list(model.state_dict()) == list(before) and adapter_sets(model) == {}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_adapters_of_a_converted_model(build: Build, example: Callable, run: Callable, tmp_path: Path) -> None:
    """Such a model had the class of the dense one when older files were written; a dense one does not take them."""
    model = convert(build("llama"), MoEConfig(num_experts=4))
    adapters = attach(model, LoRAConfig(r=2, init="normal"))
    save_adapters(adapters, tmp_path)
    batch = example(model)
    expected = run(model, batch)
    with pytest.raises(ModelError, match="holds adapters of a SparsebenchLlamaForCausalLM, not of a LlamaForCausalLM"):
        load_adapters(build("llama"), tmp_path)
    text = (tmp_path / "adapters.json").read_text()
    assert '"SparsebenchLlamaForCausalLM"' in text
    for older in (text, text.replace("SparsebenchLlama", "Llama")):
        (tmp_path / "adapters.json").write_text(older)
        other = convert(build("llama"), MoEConfig(num_experts=4))
        load_adapters(other, tmp_path)
        assert torch.equal(run(other, batch), expected)


def test_another_head(saved: Path, build: Build) -> None:
    model = build("bert")
    model.classifier = nn.Linear(32, 5)
    with pytest.raises(ModelError, match=r"classifier.weight has shape \(5, 32\), not \(2, 32\)"):
        load_adapters(model, saved)
    assert adapter_sets(model) == {}


def test_nothing_to_save(build: Build, tmp_path: Path) -> None:
    adapters = attach(build("bert"), LoRAConfig(r=4))
    adapters.remove()
    with pytest.raises(ModelError, match="are not on the model"):
        save_adapters(adapters, tmp_path)


KIND = """
from dataclasses import dataclass
from sparsebench.models.adapters.kinds.bottleneck import BottleneckConfig


@dataclass(frozen=True, kw_only=True)
class KindOfTests(BottleneckConfig):
    pass
"""


def test_a_kind_of_another_package(
    build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable, example: Callable
) -> None:
    with installed(tmp_path / "site", monkeypatch) as install:
        (tmp_path / "site").mkdir()
        install({"mine.py": KIND}, {"adapters:KindOfTests": "mine"})
        kind = importlib.import_module("package_of_tests.mine").KindOfTests
        model = build("bert")
        save_adapters(shake(attach(model, kind(r=4))), tmp_path / "saved")
        expected = run(model, example("bert"))
        monkeypatch.delitem(KINDS, "KindOfTests")  # as in a process that has not imported the package yet
        del sys.modules["package_of_tests.mine"]
        other = build("bert")
        load_adapters(other, tmp_path / "saved")
        assert torch.equal(run(other, example("bert")), expected)
        monkeypatch.delitem(KINDS, "KindOfTests")
        monkeypatch.setattr(FURTHER, "_found", {})
        monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path / "site")])
        with pytest.raises(ModelError, match=r"needs the adapter 'KindOfTests' of the package mine 1, which"):
            load_adapters(build("bert"), tmp_path / "saved")
