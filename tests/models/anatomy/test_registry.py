import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import peft
import pytest
import torch
from torch import nn

from sparsebench.models import describers
from sparsebench.models.anatomy import (
    Anatomy,
    Site,
    UnknownAnatomy,
    Wrapper,
    describe,
    inner_sites,
    register_describer,
    unwrapped,
    used_describers,
)
from sparsebench.models.anatomy import registry as anatomy_module

Build = Callable[[str], nn.Module]
TRANSFORMERS = ("llama", "mistral", "qwen2", "qwen3", "bert", "roberta", "vit", "timm_vit")


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformer(name: str, build: Build) -> None:
    model = build(name)
    anatomy = describe(model)
    assert [block.index for block in anatomy.blocks] == [0, 1]
    assert anatomy.width == 32
    for block in anatomy.blocks:
        attention, mlp = block.attention, block.mlp
        assert attention is not None and mlp is not None and mlp.up is not None and mlp.down is not None
        assert (attention.num_heads, attention.head_dim, mlp.width) == (4, 8, 32)
        assert mlp.kind == ("gated" if mlp.gate else "plain")
        assert mlp.down.get().in_features == mlp.up.get().out_features == mlp.hidden
        assert len(block.norms) == 2
        assert all(isinstance(site.get(), nn.Linear) for site in block.linears)
    assert anatomy.head is not None


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_every_path_leads_to_its_site(name: str, build: Build) -> None:
    model = build(name)
    for site in describe(model).sites():
        found = model
        for part in site.path.split("."):
            found = getattr(found, part)
        assert found is site.get()


def test_unknown_model_says_how_to_register() -> None:
    with pytest.raises(UnknownAnatomy, match=r"Own.*register_describer\(Own, describe_own\)"):
        describe(type("Own", (nn.Module,), {})())
    with pytest.raises(UnknownAnatomy, match=r"Linear; it is a part of torch, .* give the whole model"):
        describe(nn.Linear(2, 2))


class Predictor(nn.Module):
    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head


def test_registered_wrapper_is_seen_through(build: Build) -> None:
    def describe_predictor(model: nn.Module) -> Anatomy:
        anatomy = describe(model.body)
        anatomy.model, anatomy.head = model, Site(model, "head")
        return anatomy

    register_describer(Predictor, describe_predictor)
    model = Predictor(build("timm_vit"), nn.Linear(3, 2))
    anatomy = describe(model)
    assert anatomy.head is not None and anatomy.head.get() is model.head
    assert anatomy.blocks[0].linears[0].path == "body.blocks.0.attn.qkv"


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT asks transformers
@pytest.mark.parametrize("wrapper", ["peft", "prompts", "mixed", "compile", "data parallel"])
def test_what_wraps_all_of_a_model_is_seen_through(wrapper: str, build: Build) -> None:
    """One wrapper in another, too; paths are those in the model itself."""
    model = build("llama")
    wrap: dict[str, Callable[[nn.Module], Any]] = {
        "peft": lambda model: peft.get_peft_model(model, peft.LoraConfig(target_modules=["q_proj"])),
        "prompts": lambda model: peft.get_peft_model(
            model, peft.PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")
        ),
        "mixed": lambda model: peft.get_peft_model(model, peft.LoraConfig(target_modules=["q_proj"]), mixed=True),
        "compile": lambda model: torch.compile(model, backend="eager"),
        "data parallel": nn.DataParallel,
    }
    wrapped = nn.DataParallel(wrap[wrapper](model))
    assert unwrapped(wrapped) is model and unwrapped(model) is model
    anatomy = describe(wrapped)
    assert anatomy.model is model
    assert [block.site.path for block in anatomy.blocks] == ["model.layers.0", "model.layers.1"]


def test_the_nearest_class_decides(build: Build) -> None:
    class Mine(type(build("llama"))):
        pass

    model = Mine(build("llama").config)
    assert len(describe(model).blocks) == 2
    with pytest.raises(UnknownAnatomy, match="LlamaDecoderLayer"):
        describe(model.model.layers[0])


def test_describers_name_classes_that_there_are() -> None:
    for info in pkgutil.iter_modules(describers.__path__):
        for name in importlib.import_module(f"{describers.__name__}.{info.name}").SERVES:
            module, _, cls = name.rpartition(".")
            assert issubclass(getattr(importlib.import_module(module), cls), nn.Module)


def test_two_describers_of_one_class_are_refused(tmp_path, monkeypatch) -> None:
    served = anatomy_module._built_in()
    (tmp_path / "again.py").write_text(f"SERVES = ({min(served)!r},)\n\n\ndef describe(model):\n    return model\n")
    monkeypatch.setattr(describers, "__path__", [*describers.__path__, str(tmp_path)])
    anatomy_module._built_in.cache_clear()
    with pytest.raises(ValueError, match=rf"both .*again.* serve {min(served)}"):
        describe(nn.Linear(2, 2))
    monkeypatch.undo()
    del sys.modules[f"{describers.__name__}.again"]
    anatomy_module._built_in.cache_clear()
    assert anatomy_module._built_in().keys() == served.keys()


def test_who_described_is_known(build: Build) -> None:
    models = {name: build(name) for name in ("llama", "bert", "timm_vit")}
    with used_describers() as used:
        describe(models["llama"])
        with used_describers() as inner:
            describe(models["timm_vit"])
    describe(models["bert"])
    assert inner == {"sparsebench.models.describers.timm_vit"}
    assert used == {"sparsebench.models.describers.hf_decoder"} | inner


def test_import_is_light() -> None:
    code = (
        "import sys, sparsebench.models.anatomy as a\n"
        "from torch import nn\n"
        "try: a.describe(nn.Linear(1, 1))\n"
        "except a.UnknownAnatomy: pass\n"
        "import sparsebench.models.moe\n"
        "assert not {'transformers', 'timm', 'torch._dynamo'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", [*TRANSFORMERS, "efficientnet"])
def test_inner_sites(name: str, build: Build) -> None:
    """All modules with parameters of their own but the skipped one, by name; also below wrappers."""
    model = build(name)
    head = describe(model).head
    assert head is not None
    skipped = {id(module) for module in head.get().modules()}
    named = {n: m for n, m in model.named_modules() if m._parameters and n and id(m) not in skipped}
    sites = list(inner_sites(model, (head.get(),)))
    assert {site.path: site.get() for site in sites} == named
    sites[3].replace(Wrapper(sites[3].get()))
    again = list(inner_sites(model, (head.get(),)))
    assert [site.get() for site in again] == [*named.values()] and again[3].path == f"{sites[3].path}.base_layer"
