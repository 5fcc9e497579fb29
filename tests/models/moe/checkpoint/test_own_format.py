"""Our own format: models of timm go there and back, and what older versions wrote of transformers' models is read."""

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

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt import Graph2Seq, Tokenizer
from sparsebench.models.graphsgpt.model.configuration import own_vocabulary
from sparsebench.models.hub.models import ChangedModel
from sparsebench.models.moe import MoEConfig, convert, from_pretrained, save_pretrained

RECIPE, WEIGHTS = "sparsebench_moe.json", "sparsebench_moe.safetensors"
STORED = Path(__file__).with_name("stored")


@torch.no_grad()
def output(model: Any) -> Tensor:
    if isinstance(model, Graph2Seq):
        return model(Tokenizer(own_vocabulary(model.config))(["CCO", "c1ccncc1"]).batch())
    return model(torch.arange(3, 20)[None]).logits


@pytest.mark.parametrize("name", ["llama", "graph2seq"])
def test_stored_folders_load_and_go_on_in_the_new_form(name: str, tmp_path: Path) -> None:
    model = from_pretrained(STORED / name)
    assert isinstance(model, ChangedModel)
    expected = load_file(STORED / "outputs.safetensors")[name]
    torch.testing.assert_close(output(model), expected, rtol=0, atol=1e-5)
    save_pretrained(model, tmp_path / "new")
    assert (tmp_path / "new" / "model.safetensors").is_file() and not (tmp_path / "new" / RECIPE).exists()
    assert torch.equal(output(from_pretrained(tmp_path / "new")), output(model))


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
    expected: Any = from_pretrained(STORED / "llama")
    found: Any = from_pretrained(tmp_path / "model")
    layer = found.model.layers[1]
    assert layer.mlp.config == expected.model.layers[1].mlp.config
    assert layer.mlp.config.faithful and layer.mlp.config.split == "cmoe" and layer.self_attn.config.faithful


def test_a_timm_model_is_written_in_this_form(tmp_path: Path) -> None:
    model = convert(timm.create_model("vit_tiny_patch16_224", num_classes=3).eval(), MoEConfig(num_experts=4))
    save_pretrained(model, tmp_path / "model", max_shard_size=10_000_000)
    files = sorted(file.name for file in (tmp_path / "model").iterdir())
    assert RECIPE in files and len(files) > 3 and "config.json" not in files
    image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(from_pretrained(tmp_path / "model")(image), model(image))


def test_damaged_folders(tmp_path: Path, build: Callable[[str], nn.Module]) -> None:
    folder = tmp_path / "llama"
    shutil.copytree(STORED / "llama", folder)
    weights, recipe = (folder / WEIGHTS).read_bytes(), json.loads((folder / RECIPE).read_text())

    (folder / WEIGHTS).write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ModelError, match="damaged or cut short"):
        from_pretrained(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="missing"):
        from_pretrained(folder)
    (folder / WEIGHTS).write_bytes(weights)

    for change, message in (
        ({"format": 2}, "update sparsebench"),
        ({"attention": {}}, "missing.*unknown"),
        ({"model": {"library": "transformers", "class": "AutoTokenizer"}}, "no model 'AutoTokenizer'"),
        ({"model": {"library": "transformers", "class": "os"}}, "no model 'os'"),
    ):
        (folder / RECIPE).write_text(json.dumps(recipe | change))
        with pytest.raises(ModelError, match=message):
            from_pretrained(folder)
    (folder / RECIPE).write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        from_pretrained(folder)
