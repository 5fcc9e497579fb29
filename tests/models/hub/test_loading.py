"""Folders that older versions wrote still load, and those that are damaged or of others are refused in words."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from sparsebench.models import load, save
from sparsebench.models.adapters import LoRAConfig, attach, save_adapters
from sparsebench.models.compression.quantisation import packed_weights
from sparsebench.models.compression.quantisation.packed.kernels.native import obstacle
from sparsebench.models.dynamic import ConvConfig, make_dynamic
from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt import Graph2Seq, Tokenizer
from sparsebench.models.graphsgpt.model.configuration import own_vocabulary
from sparsebench.models.hub.models import ChangedModel

from ..agreement import agree

STORED = Path(__file__).with_name("stored")
OUTPUTS = load_file(STORED / "outputs.safetensors") | load_file(STORED / "outputs_later.safetensors")
RECIPE, WEIGHTS = "sparsebench_moe.json", "sparsebench_moe.safetensors"


def vit() -> nn.Module:
    return timm.create_model(
        "vit_tiny_patch16_224", img_size=32, embed_dim=16, depth=1, num_heads=4, patch_size=16, num_classes=3
    )


def resnet() -> nn.Module:
    block = timm.models.resnet.BasicBlock
    net = timm.models.resnet.ResNet(block, (1, 1, 1, 1), channels=(4, 6, 4, 4), num_classes=3)
    return make_dynamic(net, ConvConfig(kind="od_conv", num_kernels=2))


@torch.no_grad()
def output(model: Any) -> Tensor:
    if isinstance(model, Graph2Seq):
        return model(Tokenizer(own_vocabulary(model.config))(["CCO", "c1ccncc1"]).batch())
    if isinstance(model, timm.models.resnet.ResNet | timm.models.vision_transformer.VisionTransformer):
        return model(torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    return model(torch.arange(3, 20)[None]).logits


@pytest.mark.parametrize(
    ("name", "like"),
    [("llama", None), ("graph2seq", None), ("packed_llama", None), ("packed_vit", vit), ("compact", resnet)],
)
def test_older_folders_load_and_go_on_in_the_new_form(name: str, like: Any, tmp_path: Path) -> None:
    def new() -> nn.Module | None:
        return None if like is None else like()

    model = load(STORED / name, like=new())
    largest = OUTPUTS[name].abs().max().item()
    # Those of packed models were made by the kernels, which round inputs to 8 bits; elsewhere nothing rounds them.
    rounded = name.startswith("packed") and obstacle() is not None
    agree(output(model), OUTPUTS[name], "outputs", within=5e-3 if rounded else 1e-5 / largest)
    assert bool(list(packed_weights(model))) == name.startswith("packed")
    assert isinstance(model, ChangedModel) == (like is None)
    example = torch.zeros(1, 3, 32, 32) if name in ("packed_vit", "compact") else None
    save(model, tmp_path / "new", like=new(), example=example)
    again = load(tmp_path / "new", like=new())
    agree(output(again), output(model), "outputs, saved again")
    assert not any(file.name in ("sparsebench_packed.json", RECIPE) for file in (tmp_path / "new").iterdir())


def test_older_folders_of_nobodys_models_need_one(tmp_path: Path) -> None:
    for name in ("packed_vit", "compact"):
        with pytest.raises(ModelError, match=r"no file builds a .* give it as `like`"):
            load(STORED / name)
    shutil.copytree(STORED / "compact", tmp_path / "compact")
    for other, message in (
        (vit(), r"is no dynamic layer.*make_dynamic\(model, config\)"),
        (timm.create_model("resnet10t"), "is no dynamic layer"),
        (load(STORED / "compact", like=resnet()), "compact form already"),
    ):
        with pytest.raises(ModelError, match=message):
            load(tmp_path / "compact", like=other)


def test_older_names_in_recipes_load(tmp_path: Path) -> None:
    """The switch `faithful` and the split "cmoe" had other names."""
    shutil.copytree(STORED / "llama", tmp_path / "model")
    recipe = tmp_path / "model" / RECIPE
    text = recipe.read_text(encoding="utf-8")
    # In the FFN layer: of the FFN and of the attention in its configuration. And of the attention layer.
    assert text.count('"faithful"') == 3
    assert text.count('"cmoe"') == 1
    older = text.replace('"faithful"', '"strict_release"').replace('"cmoe"', '"carved"')
    recipe.write_text(older, encoding="utf-8")
    expected: Any = load(STORED / "llama")
    found: Any = load(tmp_path / "model")
    layer = found.model.layers[1]
    assert layer.mlp.config == expected.model.layers[1].mlp.config
    assert layer.mlp.config.faithful and layer.mlp.config.split == "cmoe" and layer.self_attn.config.faithful


def test_older_folders_that_are_not_whole(tmp_path: Path) -> None:
    folder = tmp_path / "llama"
    shutil.copytree(STORED / "llama", folder)
    recipe = json.loads((folder / RECIPE).read_text())
    for change, message in (({"attention": {}}, "missing.*unknown"), ({"model": {}}, "is not whole")):
        (folder / RECIPE).write_text(json.dumps(recipe | change))
        with pytest.raises(ModelError, match=message):
            load(folder)


def test_parts_that_are_missing_or_unknown(tmp_path: Path, build: Callable[[str], nn.Module]) -> None:
    model = build("llama")
    attach(model, LoRAConfig(r=2))
    save(model, tmp_path / "model")
    recipe = json.loads((tmp_path / "model" / "sparsebench.json").read_text())
    for change, message in (
        ({"nosuchpart": {}}, "knows no 'nosuchpart' layers"),
        ({"adapters": {"sets": []}}, "missing.*unknown"),
        ({"model": {"room": "nosuchroom", "class": "x", "changed": False}}, "no model 'x'"),
    ):
        (tmp_path / "model" / "sparsebench.json").write_text(json.dumps(recipe | change))
        with pytest.raises(ModelError, match=message):
            load(tmp_path / "model")


def test_other_folders(tmp_path: Path, build: Callable[[str], nn.Module]) -> None:
    """Official folders of LLaMA-MoE v2 open in transformers as a Mixtral without their scale."""
    with pytest.raises(ModelError, match="was not written by"):
        load(tmp_path)
    stock = {"model_type": "mixtral", "num_local_experts": 8}
    for fields, message in (
        (stock | {"scale_factor": 4.0}, r"LLaMA-MoE v2, .*`sparsebench import"),
        ({"model_type": "llama_moe"}, r"LLaMA-MoE v1.*`sparsebench import"),
    ):
        (tmp_path / "config.json").write_text(json.dumps(fields))
        with pytest.raises(ModelError, match=message):
            load(tmp_path)
    save_adapters(attach(build("llama"), LoRAConfig(r=2)), tmp_path / "adapters")
    with pytest.raises(ModelError, match=r"adapters without their model: adapters.load_adapters"):
        load(tmp_path / "adapters")
    build("bert").save_pretrained(tmp_path / "dense")  # pyright: ignore[reportCallIssue]
    assert type(load(tmp_path / "dense")).__name__ == "BertForSequenceClassification"
    with pytest.raises(ModelError, match="load it without `like`"):
        load(tmp_path / "dense", like=build("bert"))
