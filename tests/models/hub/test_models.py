"""Changed models are saved and loaded by transformers' own means: fresh processes, the hub, offload, damaged files."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sparsebench.models import load, save
from sparsebench.models.adapters import attach
from sparsebench.models.adapters.kinds.lora import LoRAConfig
from sparsebench.models.anatomy import describe
from sparsebench.models.compression.trimming import drop_blocks
from sparsebench.models.dynamic import MixtureConfig, make_dynamic
from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt import Graph2Seq, GraphsGPT, GraphsGPTConfig, Tokenizer, Vocabulary
from sparsebench.models.hub.declaration import declare
from sparsebench.models.hub.folder_card import OPENER
from sparsebench.models.moe import AttnMoEConfig, MoEConfig, convert

from .local_hub import local_hub

VOCABULARY = Vocabulary.improved([(6, 0), (7, 0), (8, 0)])
SIZES: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_words": 2}
BOTH = MoEConfig(num_experts=4, num_shared=1, attn=AttnMoEConfig(num_experts=2, top_k=1))
PLAIN = MoEConfig(num_experts=4)
AUTO = {
    "llama": "AutoModelForCausalLM",
    "bert": "AutoModelForSequenceClassification",
    "vit": "AutoModelForImageClassification",
}
FRESH = """
import sys, torch, transformers
from pathlib import Path
from safetensors.torch import load_file

folder = Path(sys.argv[1])
torch.set_num_threads(1)
for name in ("llama", "graph2seq"):
    try:
        transformers.AutoModel.from_pretrained(folder / name)
    except ValueError as error:
        assert "contains custom code which must be executed" in str(error), error
    else:
        raise AssertionError("transformers alone must not open it")
for cls in (transformers.LlamaForCausalLM, transformers.LlamaModel):
    try:
        cls.from_pretrained(folder / "llama")
    except OSError as error:
        assert "after_import_sparsebench" in str(error), error
    else:
        raise AssertionError("dense layers with random weights")

import sparsebench.models.moe
from sparsebench.models.graphsgpt import Tokenizer, Vocabulary

molecules = Tokenizer(Vocabulary.improved([(6, 0), (7, 0), (8, 0)]))(["CCO", "c1ccncc1"]).batch()
expected = load_file(folder / "outputs.safetensors")
inputs = load_file(folder / "inputs.safetensors")


@torch.no_grad()
def output(name, model):
    if name in inputs:
        return model(inputs[name]).logits
    found = model(molecules)
    return found if isinstance(found, torch.Tensor) else found.words


for name, auto in AUTO.items():
    model = getattr(transformers, auto).from_pretrained(folder / name)
    assert type(model).__name__.startswith("Sparsebench") == (name != "dense graphsgpt"), type(model)
    assert torch.equal(output(name, model), expected[name]), name
    if name == "llama":
        body = transformers.AutoModel.from_pretrained(folder / name)
        assert torch.equal(body.layers[1].mlp.experts.down, model.model.layers[1].mlp.experts.down)
        spread = {"model.embed_tokens": "cpu", "lm_head": "cpu", "model.norm": "cpu", "model.rotary_emb": "cpu"}
        spread |= {"model.layers.0": "cpu", "model.layers.1": "disk"}
        for device_map in ("cpu", spread):
            other = transformers.AutoModelForCausalLM.from_pretrained(
                folder / name, device_map=device_map, offload_folder=folder / "offload"
            )
            assert torch.equal(output(name, other), expected[name]), device_map
        assert other.model.layers[1].mlp.experts.down.is_meta
"""


@torch.no_grad()
def molecules_output(model: Any) -> Tensor:
    found = model(Tokenizer(VOCABULARY)(["CCO", "c1ccncc1"]).batch())
    return found if isinstance(found, Tensor) else found.words


def test_a_fresh_process(
    build: Callable[[str], nn.Module],
    example: Callable[..., Tensor],
    run: Callable[..., Tensor],
    tmp_path: Path,
) -> None:
    inputs: dict[str, Tensor] = {}
    outputs: dict[str, Tensor] = {}
    for name in AUTO:
        model: Any = convert(build(name), BOTH if name == "llama" else PLAIN)
        inputs[name] = example(model)
        outputs[name] = run(model, inputs[name])
        model.save_pretrained(tmp_path / name)
    config = GraphsGPTConfig.of(VOCABULARY, **SIZES)
    made: dict[str, Any] = {"graph2seq": convert(Graph2Seq(config).eval(), PLAIN)}
    made["graphsgpt"] = convert(GraphsGPT(config).eval(), PLAIN)
    made["dense graphsgpt"] = GraphsGPT(config).eval()
    for name, model in made.items():
        outputs[name] = molecules_output(model)
        model.save_pretrained(tmp_path / name)
    made["graphsgpt"].encoder.save_pretrained(tmp_path / "half")
    outputs["half"] = molecules_output(made["graphsgpt"].encoder)
    save_file(inputs, tmp_path / "inputs.safetensors")
    save_file(outputs, tmp_path / "outputs.safetensors")
    auto = AUTO | dict.fromkeys((*made, "half"), "AutoModel")
    code = FRESH.replace("AUTO", repr(auto))
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_what_is_pushed_to_the_hub(build: Callable[[str], nn.Module], tmp_path: Path) -> None:
    """Our card, where transformers puts one of its template; a card that the repository has stays."""
    model: Any = convert(build("llama"), PLAIN)
    with local_hub(tmp_path):
        model.push_to_hub("someone/experts", tags=["sparse", "mine"])
        card = tmp_path / "someone/experts/README.md"
        first = huggingface_hub.ModelCard.load(card)
        card.write_text("---\nlicense: mit\n---\nmy own words\n")
        model.push_to_hub("someone/experts", tags=["sparse"])
    assert {file.name for file in card.parent.iterdir()} >= {"config.json", "generation_config.json", OPENER}
    config = json.loads((card.parent / "config.json").read_text())
    assert config["model_type"] == "sparsebench" and config["architectures"] == ["SparsebenchLlamaForCausalLM"]
    assert "model.layers.0.mlp.experts.gate_up" in load_file(card.parent / "model.safetensors")
    assert first.data.library_name == "sparsebench" and first.data.tags == ["sparse", "mine"]
    assert first.text.strip().startswith("# SparsebenchLlamaForCausalLM") and "pip install sparsebench" in first.text
    again = huggingface_hub.ModelCard.load(card)
    assert again.data.license == "mit" and "my own words" in again.text and again.data.tags == ["sparse"]


def test_weights_that_are_missing_are_never_random(build: Callable[[str], nn.Module], tmp_path: Path) -> None:
    model: Any = convert(build("llama"), BOTH)
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    for gone in ("model.layers.0.mlp.experts.down", "model.layers.1.self_attn.qkv", "model.layers.1.mlp.neurons"):
        save_file({name: value for name, value in tensors.items() if name != gone}, tmp_path / "model.safetensors")
        with pytest.raises(ModelError, match="has no weights for a"):
            transformers.AutoModelForCausalLM.from_pretrained(tmp_path)


def test_weights_that_a_changed_layer_has_no_place_for_are_not_left_out(
    build: Callable[[str], nn.Module], tmp_path: Path
) -> None:
    model = convert(build("llama"), PLAIN)
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    bias = next(name for name in tensors if "experts" in name).rpartition(".")[0] + ".bias_in"
    save_file(tensors | {bias: torch.ones(2)}, file, {"format": "pt"})
    with pytest.raises(ModelError, match=f"changed layers do not take, as {bias}"):
        type(model).from_pretrained(tmp_path)


def test_saved_with_adapters_on_it_is_refused_by_name(build: Callable[[str], nn.Module], tmp_path: Path) -> None:
    model: Any = convert(build("llama"), PLAIN)
    attach(model, LoRAConfig(r=2))
    model.save_pretrained(tmp_path)  # as Trainer does, whose checkpoints go on with the adapted model
    with pytest.raises(ModelError, match="saved with adapters on the model"):
        transformers.AutoModelForCausalLM.from_pretrained(tmp_path)


def test_saved_as_it_is_when_saved(build: Callable[[str], nn.Module], tmp_path: Path) -> None:
    """What changes after the conversion is written down, too."""
    model: Any = convert(build("llama"), PLAIN)
    model.model.layers[0].mlp.scale = 3.5
    model.to(torch.bfloat16).save_pretrained(tmp_path)
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.model.layers[0].mlp.scale == 3.5
    assert not [name for name, value in again.named_parameters() if value.data_ptr() % 64]
    batch = torch.arange(3, 9)[None]
    assert torch.equal(again(batch).logits, model(batch).logits)
    assert again.model.rotary_emb.inv_freq.dtype == torch.bfloat16  # as `to` made it, which no file holds
    wide = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert wide.model.rotary_emb.inv_freq.dtype == wide.dtype == torch.float32


def test_saved_with_what_was_removed(build: Callable[[str], nn.Module], run: Any, tmp_path: Path) -> None:
    """Experts, an FFN, an attention and a block go after the conversion."""
    model: Any = build("llama")
    config = type(model.config)(**(model.config.to_dict() | {"num_hidden_layers": 4, "dtype": None}))
    model = convert(type(model)(config).eval(), MoEConfig(num_experts=5, num_shared=1))
    anatomy = describe(model)
    mixture = anatomy.blocks[0].mlp
    assert mixture is not None and mixture.experts is not None
    mixture.experts.keep([0, 2, 3])
    anatomy.blocks[1].remove_mlp()
    anatomy.blocks[2].remove_attention()
    anatomy.remove([3])
    model.save_pretrained(tmp_path / "model")
    again: Any = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    batch = torch.arange(3, 9)[None]
    assert torch.equal(run(again, batch), run(model, batch))
    assert [name for name, _ in again.named_parameters()] == [name for name, _ in model.named_parameters()]
    assert again.model.layers[0].mlp.experts.sizes == model.model.layers[0].mlp.experts.sizes
    save(again, tmp_path / "ours")
    assert torch.equal(run(load(tmp_path / "ours"), batch), run(model, batch))
    declared: Any = build("llama")
    describe(declared).blocks[0].remove_mlp()
    declare(declared, "removed")  # dense, but for what is missing
    declared.save_pretrained(tmp_path / "dense")
    other = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "dense")
    assert torch.equal(run(other, batch), run(declared, batch))


def test_dynamic_blocks_keep_to_their_layers_when_others_go(
    build: Callable[[str], nn.Module], run: Any, tmp_path: Path
) -> None:
    """They are numbered anew, and named so in the configuration; what was made in dropped blocks is not named."""
    model: Any = build("llama")
    for block in (1, 0):
        make_dynamic(model, MixtureConfig(num_kernels=2, top_k=1, blocks=(block,), noise=0.5))
    drop_blocks(model, [0])
    model.save_pretrained(tmp_path)
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    batch = torch.arange(3, 9)[None]
    assert torch.equal(run(again, batch), run(model, batch))
    assert [entry["fields"]["blocks"] for entry in again.config.sparsebench["parts"]["dynamic"]["configs"]] == [[0]]
