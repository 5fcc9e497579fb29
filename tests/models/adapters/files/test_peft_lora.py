import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sparsebench.models.adapters import AdapterSet, BottleneckConfig, LoRAConfig, attach, sparsify
from sparsebench.models.adapters.files.peft_format import load_peft, save_peft
from sparsebench.models.adapters.files.peft_lora import NamedLoRAConfig
from sparsebench.models.adapters.files.saving import load_adapters, save_adapters

from ...agreement import agree
from ..conftest import NEAR, noise

peft = pytest.importorskip("peft")
# PEFT calls functions of transformers that are deprecated, and looks for files of models that have no name.
pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]

Build = Callable[[str], Any]
THEIRS: dict[str, tuple[str, dict[str, Any]]] = {
    "list": ("llama", {"r": 4, "lora_alpha": 12, "target_modules": ["q_proj", "v_proj"]}),
    "regex": ("llama", {"r": 3, "target_modules": r".*\.1\.(self_attn\.(k|o)|mlp\.(up|down))_proj"}),
    "all-linear": ("llama", {"r": 4, "target_modules": "all-linear"}),
    "patterns": (
        "llama",
        {
            "r": 4,
            "lora_alpha": 8,
            "target_modules": ["q_proj", "down_proj"],
            "rank_pattern": {r"layers\.0\.self_attn\.q_proj": 2, "down_proj": 6},
            "alpha_pattern": {"layers.1.mlp.down_proj": 3, "q_proj": 20},
        },
    ),
    "rslora": ("qwen3", {"r": 5, "lora_alpha": 7, "use_rslora": True, "target_modules": ["q_proj", "o_proj"]}),
    "some layers": ("llama", {"r": 4, "target_modules": ["gate_proj"], "layers_to_transform": [1]}),
    "gaussian": ("llama", {"r": 4, "target_modules": ["q_proj"], "init_lora_weights": "gaussian", "lora_dropout": 0.1}),
    "bert": ("bert", {"r": 4, "target_modules": ["query", "value", "dense"], "exclude_modules": ["bert.pooler.dense"],
                      "task_type": "SEQ_CLS"}),
    "roberta": ("roberta", {"r": 4, "target_modules": ["key"], "modules_to_save": ["classifier"]}),
    "vit": ("vit", {"r": 4, "target_modules": ["q_proj", "fc1"], "modules_to_save": ["classifier"]}),
    "timm": ("timm_vit", {"r": 4, "lora_alpha": 6, "target_modules": ["qkv", "proj", "fc2"], "exclude_modules":
                          ["patch_embed.proj"], "modules_to_save": ["head"]}),
    "cnn": ("efficientnet", {"r": 4, "target_modules": r"blocks\..*\.(conv_pw|conv_pwl)"}),
}  # fmt: skip
OURS: dict[str, tuple[str, LoRAConfig]] = {
    "llama": ("llama", LoRAConfig(r=4, alpha=6)),
    "llama all": ("llama", LoRAConfig(r=3, alpha=5, targets=("linears",), blocks=1, train_head=False)),
    "bert": ("bert", LoRAConfig(r=4, alpha=16, targets=("q", "v", "up", "down"))),
    "roberta": ("roberta", LoRAConfig(r=4)),
    "timm qv": ("timm_vit", LoRAConfig(r=4, alpha=6)),
    "timm qkv": ("timm_vit", LoRAConfig(r=2, alpha=3, targets=("q", "k", "v", "o"))),
    "timm linears": ("timm_vit", LoRAConfig(r=4, targets=("linears",), dropout=0.2)),
    "cnn": ("efficientnet", LoRAConfig(r=4, targets=("linears",))),
}


def theirs(model: nn.Module, folder: Path, **options: Any) -> nn.Module:
    """A PEFT model with noise in what it trains, saved."""
    wrapped = peft.get_peft_model(model, peft.LoraConfig(**options)).eval()
    noise(parameter for parameter in wrapped.parameters() if parameter.requires_grad)
    wrapped.save_pretrained(folder)
    return wrapped


def ours(build: Build, case: str) -> tuple[nn.Module, AdapterSet]:
    family, config = OURS[case]
    model = build(family)
    adapters = attach(model, config)
    noise(adapters.parameters())
    return model, adapters


def through(model: nn.Module, batch: Tensor) -> Tensor:
    with torch.no_grad():
        out = model(batch)
    return out if isinstance(out, Tensor) else out.logits


def assert_equal_but_for_rounding(ours: Tensor, theirs: Tensor, exact: nn.Module, batch: Tensor) -> None:
    """Both sum the same numbers in other orders, so ours may be off by a few times what theirs is off in float32.

    `exact` is their model; it is put into float64.
    """
    truth = through(exact.double(), batch.double() if batch.is_floating_point() else batch)
    rounding = torch.finfo(torch.float32).eps * truth.abs().max()
    error = (theirs - truth).abs().max()
    allowed = 4 * max(error, rounding)
    assert (ours - truth).abs().max() <= allowed
    agree(ours, theirs, "logits", within=((allowed + error) / theirs.abs().max()).item())


def edit(folder: Path, **fields: Any) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


@pytest.mark.parametrize("case", THEIRS)
def test_reading(case: str, build: Build, example: Callable, tmp_path: Path) -> None:
    family, options = THEIRS[case]
    model, batch = build(family), example(build(family))
    plain = through(model, batch)
    peer = theirs(build(family), tmp_path, **options)
    expected = through(peer, batch)
    adapters = load_peft(model, tmp_path, "theirs")
    assert_equal_but_for_rounding(through(model, batch), expected, peer, batch)
    assert not torch.allclose(expected, plain, atol=1e-3)
    assert (adapters.heads != ()) == ("SEQ_CLS" in options.values() or "modules_to_save" in options)
    assert {layer.dropout.p for _, layer in adapters.layers()} == {options.get("lora_dropout", 0.0)}  # type: ignore
    save_adapters(adapters, tmp_path / "own")
    again = build(family)
    assert load_adapters(again, tmp_path / "own").config == adapters.config
    assert torch.equal(through(again, batch), through(model, batch))


@pytest.mark.parametrize("case", OURS)
def test_writing(case: str, build: Build, example: Callable, tmp_path: Path) -> None:
    model, adapters = ours(build, case)
    batch = example(model)
    save_peft(adapters, tmp_path)
    loaded = peft.PeftModel.from_pretrained(build(OURS[case][0]), tmp_path, is_trainable=True).eval()
    agree(through(loaded, batch), through(model, batch), "logits", within=NEAR)
    trained = [parameter for parameter in loaded.parameters() if parameter.requires_grad]
    head = sum(p.numel() for site in adapters.heads for p in site.get().parameters())
    assert sum(p.numel() for p in trained) - head == sum(
        value.numel() for key, value in load_file(tmp_path / "adapter_model.safetensors").items() if ".lora_" in key
    )
    optimizer, before = torch.optim.SGD(trained, 0.1), through(loaded, batch)
    out = loaded(batch)
    (out if isinstance(out, Tensor) else out.logits).square().mean().backward()
    optimizer.step()
    assert not torch.allclose(through(loaded, batch), before, atol=1e-4)


@pytest.mark.parametrize("case", OURS)
def test_our_own_round_trip(case: str, build: Build, example: Callable, tmp_path: Path) -> None:
    model, adapters = ours(build, case)
    save_peft(adapters, tmp_path / "one")
    again = build(OURS[case][0])
    loaded = load_peft(again, tmp_path / "one")
    agree(through(again, example(model)), through(model, example(model)), "logits", within=NEAR)
    save_peft(loaded, tmp_path / "two")
    first, second = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("one", "two"))
    assert first.keys() == second.keys()
    for key in first:
        agree(second[key], first[key], "tensors", where=key)
    one, two = (json.loads((tmp_path / name / "adapter_config.json").read_text()) for name in ("one", "two"))
    assert one == two


def test_what_is_written(build: Build, tmp_path: Path) -> None:
    """For timm: q and v of r = 4 become one pair of r = 8, B in blocks, the rows of k empty; alpha 6 / 4 * 8."""
    _, adapters = ours(build, "timm qv")
    save_peft(adapters, tmp_path, "some/model")
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (8, 12, "some/model")
    assert config["target_modules"] == ["blocks.0.attn.qkv", "blocks.1.attn.qkv"]
    assert config["modules_to_save"] == ["head"] and config["rank_pattern"] == config["alpha_pattern"] == {}
    up = load_file(tmp_path / "adapter_model.safetensors")["base_model.model.blocks.0.attn.qkv.lora_B.weight"]
    assert up.shape == (96, 8) and not up[32:64].any() and not up[:32, 4:].any() and not up[64:, :4].any()
    assert up[:32, :4].all() and up[64:, 4:].all()


def test_mixed_ranks_are_written_as_patterns(build: Build, example: Callable, tmp_path: Path) -> None:
    model = build("llama")
    names = [f"model.layers.{i}.self_attn.{part}_proj" for i in (0, 1) for part in "qkv"]
    layers = tuple((name, 2 + i % 3, 4.5 + i) for i, name in enumerate(names))
    adapters = attach(model, NamedLoRAConfig(layers=layers))
    noise(adapters.parameters())
    save_peft(adapters, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert len(config["rank_pattern"]) == 4 and len(config["alpha_pattern"]) == 5
    loaded = peft.PeftModel.from_pretrained(build("llama"), tmp_path).eval()
    batch = example(model)
    agree(through(loaded, batch), through(model, batch), "logits", within=NEAR)


def test_pruned_factors_are_written_dense(build: Build, example: Callable, tmp_path: Path) -> None:
    model, adapters = ours(build, "llama")
    sparsify(adapters, method="magnitude", sparsity=0.5)
    save_peft(adapters, tmp_path)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    factors = torch.cat([value.flatten() for key, value in tensors.items() if ".lora_" in key])
    assert int((factors == 0).sum()) == factors.numel() // 2
    loaded = peft.PeftModel.from_pretrained(build("llama"), tmp_path).eval()
    batch = example(model)
    agree(through(loaded, batch), through(model, batch), "logits", within=NEAR)


def test_loading_beside_another_set_and_training_on(build: Build, example: Callable, tmp_path: Path) -> None:
    theirs(build("llama"), tmp_path, r=4, target_modules=["q_proj"])
    model = build("llama")
    attach(model, BottleneckConfig(r=4), "other")
    adapters = load_peft(model, tmp_path, "theirs")
    batch, before = example(model), through(model, example(model))
    optimizer = torch.optim.SGD(adapters.parameters(), 10.0)
    model(batch).logits.square().mean().backward()
    optimizer.step()
    assert not torch.equal(through(model, batch), before)
    save_peft(adapters, tmp_path / "again")
    assert "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" in load_file(
        tmp_path / "again" / "adapter_model.safetensors"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lora_bias": True, "target_modules": ["q_proj"]}, "lora_bias=True"),
        ({"bias": "all", "target_modules": ["q_proj"]}, "bias='all'"),
        ({"init_lora_weights": "pissa", "target_modules": ["q_proj"]}, "init_lora_weights='pissa'"),
        ({"layer_replication": [(0, 2), (1, 2)], "target_modules": ["q_proj"]}, "layer_replication="),
        ({"trainable_token_indices": [1], "target_modules": ["q_proj"]}, r"trainable_token_indices=\[1\]"),
        ({"target_modules": ["lm_head", "q_proj"]}, "lm_head is no linear layer of a block of LlamaForCausalLM"),
        ({"target_modules": ["q_proj", "embed_tokens"]}, "holds .*model.embed_tokens.*only the head .lm_head. can"),
        ({"target_modules": ["q_proj"], "modules_to_save": ["norm"]}, "holds .*model.norm: in addition to LoRA"),
    ],
)
def test_other_variants_are_refused(options: dict, message: str, build: Build, tmp_path: Path) -> None:
    theirs(build("llama"), tmp_path, r=4, **options)
    model = build("llama")
    before = [name for name, _ in model.named_modules()]
    with pytest.raises(ValueError, match=message):
        load_peft(model, tmp_path)
    assert [name for name, _ in model.named_modules()] == before
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_files_that_do_not_fit(build: Build, tmp_path: Path) -> None:
    model, adapters = ours(build, "llama")
    with pytest.raises(ValueError, match=r"has no adapter_config.json"):
        load_peft(model, tmp_path)
    save_peft(adapters, tmp_path)
    with pytest.raises(ValueError, match="named 'default' already"):
        load_peft(model, tmp_path)
    with pytest.raises(ValueError, match=r"only the head \(classifier\) can be loaded"):
        load_peft(build("bert"), tmp_path)
    edit(tmp_path, some_new_field={"a": 1}, other_field=None)
    with pytest.raises(ValueError, match=r"some_new_field=\{'a': 1\} cannot be loaded"):
        load_peft(build("llama"), tmp_path)
    edit(tmp_path, some_new_field=None)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    key = "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"
    save_file(tensors | {key: torch.zeros(5, 4)}, tmp_path / "adapter_model.safetensors")
    fresh = build("llama")
    with pytest.raises(ValueError, match="does not fit this LlamaForCausalLM"):
        load_peft(fresh, tmp_path)
    assert all(parameter.requires_grad for parameter in fresh.parameters())
    tensors.pop(key)
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    with pytest.raises(ValueError, match=r"lora_A or lora_B of model.layers.0.self_attn.q_proj is missing"):
        load_peft(fresh, tmp_path)
    (tmp_path / "adapter_model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot be read"):
        load_peft(fresh, tmp_path)
