"""What is written brings every converted model back, bit for bit; Auto classes and Trainer are in `models/hub`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import transformers
from safetensors import safe_open
from torch import Tensor, nn

from sparsebench.models import load, save
from sparsebench.models.compression.trimming import drop_layers
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert, to_dense
from sparsebench.models.moe.attention.convert_attention import AttnMoEConfig, convert_attention
from sparsebench.models.moe.routing.router import LinearRouter

from ..agreement import agree

CONFIG, WEIGHTS = "config.json", "model.safetensors"
RECIPE = "sparsebench.json"  # of our own format
PLAIN = MoEConfig(num_experts=4)
EVERYTHING = MoEConfig(
    num_experts=6,
    num_shared=1,
    split="residual",
    overlap=True,
    importance="activation",
    router="mlp",
    noise="shazeer",
    scale="calibrated",
    align=True,
    balance="cv2",
    capacity=1.5,
    layers=(1,),
    attn=AttnMoEConfig(num_experts=4, top_k=3),
)
ANALYTIC = MoEConfig(num_experts=5, num_shared=2, split="cmoe", router="glu", router_init="analytic", score="sigmoid")
CASES = {
    "llama": ("llama", PLAIN),
    "llama, everything": ("llama", EVERYTHING),
    "llama, analytic": ("llama", ANALYTIC),
    "mistral": ("mistral", MoEConfig(num_experts=4, score="softmax_topk", renorm=False, scale="norm")),
    "qwen2": ("qwen2", MoEConfig(num_experts=7, top_k=1, straight_through=True, balance="switch")),
    "qwen3, attention": ("qwen3", MoEConfig(num_experts=4, attn=AttnMoEConfig(num_experts=2, top_k=1, mode="keep_kv"))),
    "bert": ("bert", MoEConfig(num_experts=4, score="none")),
    "bert, analytic": ("bert", ANALYTIC),
    "bert, upcycled": ("bert", MoEConfig(num_experts=3, split="whole", reinit=0.5)),
    "roberta": ("roberta", MoEConfig(num_experts=5, layers=(0,))),
    "vit": ("vit", MoEConfig(num_experts=4, num_shared=1, router="mlp")),
}


@pytest.fixture
def converted(
    build: Callable[[str], nn.Module], example: Callable[..., Tensor]
) -> Callable[[str, MoEConfig], tuple[Any, Tensor]]:
    """A converted tiny model, and an input for it."""

    def converted(family: str, config: MoEConfig) -> tuple[Any, Tensor]:
        model = build(family)
        batch = example(model)
        return convert(model, config, [example(model, seed) for seed in range(8)] if config.requires else None), batch

    return converted


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_reloaded_model_is_the_same_bit_for_bit(
    converted: Callable[..., Any], run: Callable[..., Tensor], tmp_path: Path, name: str, dtype: torch.dtype
) -> None:
    model, batch = converted(*CASES[name])
    model.to(dtype).train()
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    assert type(again) is type(model) and not again.training
    agree(run(again, batch), run(model.eval(), batch), "outputs")
    assert {n: (p.dtype, p.shape) for n, p in again.state_dict().items()} == {
        n: (p.dtype, p.shape) for n, p in model.state_dict().items()
    }
    saved = again.config.to_dict() | {"_name_or_path": ""}  # where it was loaded from
    assert saved == model.config.to_dict()


def test_reloaded_model_trains_and_generates_alike(converted: Callable[..., Any], tmp_path: Path) -> None:
    model, batch = converted("llama", EVERYTHING)
    model.generation_config.max_new_tokens = 5
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    agree(again.generate(batch, do_sample=False), model.generate(batch, do_sample=False), "tokens")
    gradients = []
    for each in (model, again):
        each.eval()(input_ids=batch, labels=batch).loss.backward()
        gradients.append({name: parameter.grad for name, parameter in each.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        if gradient is not None:
            agree(gradients[1][name], gradient, "gradients", where=name)


def test_reloaded_model_goes_back_to_dense(
    build: Callable[[str], nn.Module], run: Callable[..., Tensor], example: Callable[..., Tensor], tmp_path: Path
) -> None:
    for family in ("llama", "bert"):
        dense = build(family)
        batch = example(dense)
        expected = run(dense, batch)
        save(convert(dense, MoEConfig(num_experts=4, num_shared=1)), tmp_path / family)
        assert torch.equal(run(to_dense(load(tmp_path / family)), batch), expected)


def test_tied_embeddings_stay_tied(tmp_path: Path) -> None:
    config = transformers.LlamaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, vocab_size=32
    )
    config.tie_word_embeddings = True
    model = convert(transformers.LlamaForCausalLM(config), PLAIN)
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.lm_head.weight is again.model.embed_tokens.weight
    with safe_open(tmp_path / "model" / WEIGHTS, "pt") as file:
        assert "lm_head.weight" not in file.keys()  # noqa: SIM118 - no mapping


def test_attention_alone(run: Callable[..., Tensor], build: Any, tmp_path: Path) -> None:
    model = convert_attention(build("llama"), AttnMoEConfig(num_experts=2, top_k=1), layers=(1,))
    batch = torch.arange(3, 9)[None]
    save(model, tmp_path / "model")
    assert torch.equal(run(load(tmp_path / "model"), batch), run(model, batch))


def test_names_do_not_collide_with_renaming_rules_of_transformers(converted: Callable[..., Any]) -> None:
    cases = (("llama", EVERYTHING), ("bert", ANALYTIC), ("llama", PLAIN))
    names = [name for family, config in cases for name in converted(family, config)[0].state_dict()]
    assert len(names) > 60
    assert not [name for name in names if any(bad in name for bad in ("weight_g", "weight_v", "gamma", "beta"))]


def test_plain_transformers_does_not_load_it_as_a_dense_model(converted: Callable[..., Any], tmp_path: Path) -> None:
    save(converted("llama", PLAIN)[0], tmp_path / "model")
    with pytest.raises(OSError, match="open_with_an_AutoModel_after_import_sparsebench"):
        transformers.LlamaForCausalLM.from_pretrained(tmp_path / "model")


def test_large_models_are_split(converted: Callable[..., Any], run: Callable[..., Tensor], tmp_path: Path) -> None:
    model, batch = converted("llama", PLAIN)
    save(model, tmp_path / "model", max_shard_size=20_000)
    files = sorted((tmp_path / "model").glob("*.safetensors"))
    assert len(files) > 2
    assert torch.equal(run(load(tmp_path / "model"), batch), run(model, batch))
    files[1].unlink()
    with pytest.raises(ModelError, match="missing"):
        load(tmp_path / "model")


def test_timm_model_with_other_arguments_needs_one_like_it(
    converted: Callable[..., Any], build: Any, tmp_path: Path
) -> None:
    model, image = converted("timm_vit", PLAIN)
    with pytest.raises(ModelError, match="more than its configuration"):
        save(model, tmp_path / "model", example=image)
    assert not list(tmp_path.iterdir())
    save(model, tmp_path / "model", example=image, like=build("timm_vit"))
    with torch.no_grad():
        assert torch.equal(load(tmp_path / "model", like=build("timm_vit"))(image), model(image))


def test_a_model_of_ones_own_needs_one_like_it(tmp_path: Path) -> None:
    def own(bias: bool = True) -> nn.Module:
        return nn.Sequential(nn.Linear(4, 4, bias), nn.ReLU())

    model, example = own().eval(), torch.ones(2, 4)
    for keywords, message in (
        ({}, "Sequential is no model of transformers or timm by its name.*give `like`"),
        ({"like": own()}, "give example="),
        ({"example": example, "like": own(bias=False)}, "more than its configuration .* 1 unknown, as 0.bias"),
    ):
        with pytest.raises(ModelError, match=message):
            save(model, tmp_path / "model", **keywords)
    save(model, tmp_path / "model", example=example, like=own())
    assert torch.equal(load(tmp_path / "model", like=own())(example), model(example))


def test_what_a_model_of_images_and_text_takes_is_said_by_an_example(tmp_path: Path) -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = transformers.CLIPTextConfig(**sizes, vocab_size=32, max_position_embeddings=8, eos_token_id=31)
    vision = transformers.CLIPVisionConfig(**sizes, image_size=8, patch_size=4)
    both = transformers.CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict())
    model = transformers.CLIPModel(both).eval()
    with pytest.raises(ModelError, match="does not know what a CLIPModel takes"):
        save(model, tmp_path / "model")
    example = {"input_ids": torch.arange(4)[None], "pixel_values": torch.ones(1, 3, 8, 8)}
    save(model, tmp_path / "model", example=example)
    with torch.no_grad():
        again = load(tmp_path / "model")
        assert torch.equal(again(**example).logits_per_text, model(**example).logits_per_text)


def test_files_of_our_own_are_split(tmp_path: Path) -> None:
    model = convert(timm.create_model("test_vit", num_classes=3).eval(), PLAIN)
    save(model, tmp_path / "model", max_shard_size=200_000)
    files = sorted(file.name for file in (tmp_path / "model").iterdir())
    assert RECIPE in files and len(files) > 4 and "config.json" not in files
    image = torch.randn(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(load(tmp_path / "model")(image), model(image))


def test_model_with_an_adapter_is_refused(converted: Callable[..., Any], tmp_path: Path) -> None:
    model, _ = converted("llama", PLAIN)
    model.model.adapter = nn.Linear(2, 2)
    with pytest.raises(ModelError, match=r"2 unknown, as model\.adapter\.bias"):
        save(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


class CosineRouter(LinearRouter):
    def logits(self, x_TD: Tensor) -> Tensor:
        return 8 * nn.functional.normalize(x_TD, dim=-1) @ nn.functional.normalize(self.weight, dim=-1).T


def test_a_router_of_ones_own_is_refused(converted: Callable[..., Any], tmp_path: Path) -> None:
    """It was saved without a word, and came back as one of ours."""
    attention = MoEConfig(num_experts=4, attn=AttnMoEConfig(num_experts=2, top_k=1))
    for place in ("mlp", "self_attn"):
        model, _ = converted("llama", attention)
        layer = getattr(model.model.layers[1], place)
        layer.router = CosineRouter(layer.config, layer.router.weight.detach().clone())
        for write in (lambda path, model=model: save(model, path), model.save_pretrained):
            with pytest.raises(ModelError, match=r"a router of a class of its own \(CosineRouter, not LinearRouter\)"):
                write(tmp_path / "model")
    model, _ = converted("llama", MoEConfig(num_experts=4, router="mlp", noise="shazeer", balance="bias"))
    save(model, tmp_path / "whole")
    model.model.layers[0].mlp.router.register_buffer("temperature", torch.ones(1))
    with pytest.raises(ModelError, match=r"a router with further tensors \(temperature\)"):
        model.save_pretrained(tmp_path / "model")


def test_what_computes_something_else_is_refused(converted: Callable[..., Any], tmp_path: Path) -> None:
    for family in ("llama", "vit"):
        model, _ = converted(family, PLAIN)
        part = model.lm_head if family == "llama" else model.classifier
        part.register_forward_hook(lambda module, given, out: 1.01 * out)
        with pytest.raises(ModelError, match=r"more than its configuration .* differ by 0\.0099 of their size"):
            save(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_foreign_models_are_refused(build: Callable[[str], nn.Module], tmp_path: Path) -> None:
    class Own(transformers.LlamaForCausalLM):
        pass

    with pytest.raises(ModelError, match="Own is no model of transformers or timm"):
        save(convert(Own(build("llama").config), PLAIN), tmp_path / "model")


def test_folders_that_cannot_be_read(converted: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with pytest.raises(ModelError, match="was not written by"):
        load(folder)
    save(converted("llama", PLAIN)[0], folder)
    with pytest.raises(ModelError, match="not an empty folder"):
        save(converted("llama", PLAIN)[0], folder)
    weights, config = (folder / WEIGHTS).read_bytes(), json.loads((folder / CONFIG).read_text())

    (folder / WEIGHTS).write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ModelError, match="damaged or cut short"):
        load(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match="missing"):
        load(folder)
    (folder / WEIGHTS).write_bytes(weights)

    ours = config["sparsebench"]
    blocks = ours["parts"]["moe"]["blocks"]
    moe = {"attention": {}, "blocks": {"0": blocks["0"]}}
    wide = {"attention": {}, "blocks": blocks | {"0": blocks["0"] | {"experts": [2] * 4}}}
    room = {"source": {"model_type": "x", "class": "GraphsGPTConfig", "room": "nosuchroom"}}
    for change, message in (
        ({"sparsebench": {}}, "does not say which model was changed"),
        ({"sparsebench": ours | room}, "no GraphsGPTConfig in models/nosuchroom"),
        ({"sparsebench": ours | {"parts": {"nosuchpart": {}}}}, "knows no 'nosuchpart' layers"),
        ({"sparsebench": ours | {"parts": {"moe": moe}}}, "missing.*unknown"),
        ({"sparsebench": ours | {"parts": {"moe": wide}}}, "does not fit its configuration"),
        ({"architectures": ["AutoTokenizer"]}, "no model 'AutoTokenizer'"),
        ({"model_type": "llama"}, "calls itself 'llama' but is a Sparsebench"),
    ):
        (folder / CONFIG).write_text(json.dumps(config | change))
        with pytest.raises(ModelError, match=message):
            load(folder)
    (folder / CONFIG).write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        load(folder)


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe"])
def test_a_trimmed_mixture_that_came_from_a_folder_comes_back(build, run, example, tmp_path, family):
    """transformers keeps how it read the tensors of a stock mixture, and wrote those of the changed one as it came."""
    build(family).save_pretrained(tmp_path / "stock")
    model = load(tmp_path / "stock")
    drop_layers(model, [1])
    save(model, tmp_path / "trimmed")
    wanted = run(model, example(model))
    agree(run(load(tmp_path / "trimmed"), example(model)), wanted, "outputs")
    opened, found = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "trimmed", output_loading_info=True)
    assert not found["missing_keys"] and not found["unexpected_keys"]
    agree(run(opened.eval(), example(model)), wanted, "outputs by an Auto class")
