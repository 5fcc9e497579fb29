"""Files of stock checkpoints, and what is refused. That they compute what the converted model does is in
`tests/models/foreign_engines/test_engines.py`."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.quantisation import Grid, QuantiseConfig, dense_products, quantise
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig
from sparsebench.models.moe.routing.router import LinearRouter
from sparsebench.models.moe.stock_export import export

from ...foreign_engines.exports import CASES, HALVED, mixtures, moe, tiny


def median_error(logits: Tensor, exact: Tensor) -> Tensor:
    return ((logits.float() - exact).norm(dim=-1) / exact.norm(dim=-1)).median()


def opened(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder)


@pytest.mark.parametrize("name", HALVED)
def test_half_precision_is_no_worse_than_ours(name: str, tmp_path: Path) -> None:
    """Tokens near a tie of two experts may go to the other one: seen from float32."""
    model = HALVED[name].model()
    export(model, tmp_path / "model")
    ids = torch.randint(3, 64, (4, 250), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours, theirs = (each(ids).logits for each in (model, opened(tmp_path / "model")))
        wide = model.float()(ids).logits
    error, own = (median_error(logits, wide) for logits in (theirs, ours))
    assert theirs.dtype == torch.bfloat16 and own < 0.05 and error < 1.5 * own


@pytest.mark.parametrize(("engine", "size"), [("transformers", 32), ("compressed-tensors", 32), ("vllm", 32)])
def test_experts_end_in_zero_neurons(engine: Any, size: int, tmp_path: Path) -> None:
    export(CASES["Llama, gain"].model(), tmp_path / "model", engine=engine)
    model = opened(tmp_path / "model")
    experts = describe(model).blocks[0].mlp.experts
    assert [int((experts.weights(e).up != 0).any(1).sum()) for e in range(4)] == [30, 30, 29, 29]
    assert model.config.intermediate_size == size


DESCRIBED = (
    "Llama",
    "Llama, shared",
    "Qwen3, window, all biases, dense between",
    "Qwen2, sigmoid, shared, dense first",
    "Qwen3, sigmoid, shared, some windows",
    "OLMo 2",
)


@pytest.mark.parametrize("name", DESCRIBED)
def test_stock_checkpoint_is_described_as_the_converted_model_is(name: str, tmp_path: Path) -> None:
    model = CASES[name].model()
    export(model, tmp_path / "model")
    config = CASES[name].config
    for block, ours in zip(describe(opened(tmp_path / "model")).blocks, describe(model).blocks, strict=True):
        assert block.mlp is not None and ours.mlp is not None
        assert block.mlp.kind == ours.mlp.kind
        if block.mlp.experts is None or ours.mlp.experts is None:
            continue
        assert (block.mlp.experts.num_experts, block.mlp.experts.top_k) == (4 - config.num_shared, 2)
        assert (block.mlp.experts.shared is None) == (ours.mlp.experts.shared is None)
        for expert in range(block.mlp.experts.num_experts):
            gate = ours.mlp.experts.weights(expert).gate
            assert gate is not None
            assert torch.equal(block.mlp.experts.weights(expert).gate[: len(gate)], gate)


def test_disk_layout_is_the_original_one_of_mixtral(tmp_path: Path) -> None:
    export(CASES["Llama"].model(), tmp_path / "model")
    names = load_file(tmp_path / "model" / "model.safetensors").keys()
    assert "model.layers.0.block_sparse_moe.experts.3.w2.weight" in names


def test_a_shared_block_becomes_neurons_of_every_expert_where_nothing_else_has_it(tmp_path: Path) -> None:
    model = CASES["Qwen3, shared"].model()
    assert export(model, tmp_path / "model") == "Qwen3MoeForCausalLM"
    stock = opened(tmp_path / "model").model.layers[0].mlp.experts
    layer = mixtures(model)[0]
    shared = layer.shared.weights(0)
    own = layer.experts.down.shape[2]
    for expert in range(3):
        gate, up = stock.gate_up_proj[expert].chunk(2)
        assert torch.equal(gate[own : own + len(shared.gate)], shared.gate)
        assert torch.equal(up[own : own + len(shared.up)], shared.up)
        assert torch.equal(stock.down_proj[expert][:, own : own + len(shared.up)], shared.down)


def test_multipliers_stay_where_the_architecture_has_them_and_are_folded_elsewhere(tmp_path: Path) -> None:
    tied = {}
    for name in ("Granite, shared", "Granite, not renormalised, shared"):
        export(CASES[name].model(), tmp_path / name)
        config = opened(tmp_path / name).config
        tied[name] = (config.tie_word_embeddings, getattr(config, "embedding_multiplier", None))
    assert tied == {"Granite, shared": (True, 3.0), "Granite, not renormalised, shared": (False, None)}


def test_generation_config_and_tokenizer_go_along(tmp_path: Path) -> None:
    model = tiny("Llama", {}, moe())
    model.generation_config.max_new_tokens = 7
    export(model, tmp_path / "new" / "folder", tokenizer=(tokenizer := Tokenizer()))
    config = transformers.GenerationConfig.from_pretrained(tmp_path / "new" / "folder")
    assert config.max_new_tokens == 7
    assert tokenizer.written
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "folder"]


class Tokenizer:
    written = False

    def save_pretrained(self, folder: Path) -> None:
        self.written = folder.is_dir()


def test_model_is_untouched(tmp_path: Path) -> None:
    model = tiny("Qwen3", {"tie_word_embeddings": True}, moe(num_shared=1, scale=3.0))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    export(model, tmp_path / "model")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_untied_head_is_written_untied(tmp_path: Path) -> None:
    model = tiny("Llama", {"tie_word_embeddings": True}, moe())
    model.lm_head.weight = nn.Parameter(torch.zeros_like(model.lm_head.weight))
    export(model, tmp_path / "model")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert not again(torch.arange(5)[None]).logits.any()


def adapter(model: Any) -> None:
    model.model.layers[0].self_attn.extra = nn.Linear(2, 2)


def other_attention(model: Any) -> None:
    class Attention(type(model.model.layers[1].self_attn)):
        pass

    model.model.layers[1].self_attn.__class__ = Attention


def own_router(model: Any) -> None:
    layer = mixtures(model)[1]
    layer.router = CosineRouter(layer.config, layer.router.weight.detach().clone())


def further_tensor(model: Any) -> None:
    mixtures(model)[1].router.temperature = nn.Parameter(torch.ones(1))


def hook(model: Any) -> None:
    model.model.layers[1].self_attn.register_forward_hook(lambda module, given, out: (1.1 * out[0], *out[1:]))


class CosineRouter(LinearRouter):
    def logits(self, x_TD: Tensor) -> Tensor:
        return 8 * nn.functional.normalize(x_TD, dim=-1) @ nn.functional.normalize(self.weight, dim=-1).T


REFUSED: dict[str, tuple[str, dict[str, Any], MoEConfig, Callable[[Any], None], str]] = {
    "equal weights": ("Llama", {}, moe(score="none"), lambda model: None, "score='none'"),
    "glu router": (
        "Llama",
        {},
        moe(),
        lambda model: route(model, router="glu", router_init="analytic"),
        "not GLURouter",
    ),
    "bias": ("Llama", {}, moe(balance="bias"), lambda model: None, "balance='bias'.* by softmax scores"),
    "own router": ("Llama", {}, moe(), own_router, r"a router of a class of its own \(CosineRouter, not LinearRouter"),
    "router with more": ("Llama", {}, moe(), further_tensor, r"a router with further tensors \(temperature\)"),
    "biases": ("Llama", {"mlp_bias": True}, moe(), lambda model: None, "biases in the feed-forward"),
    "adapter": ("Llama", {}, moe(), adapter, "extra"),
    "attention": ("Llama", {}, moe(), other_attention, "attention of the kind 'Attention'"),
    "window between": ("Mistral", {"sliding_window": 9}, moe(score="sigmoid"), lambda model: None, "a sliding window"),
}


def route(model: Any, **fields: Any) -> None:
    mixtures(model)[1].config = dataclasses.replace(mixtures(model)[1].config, **fields)


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_stock_architecture_has_is_named_and_nothing_written(tmp_path: Path, name: str) -> None:
    family, changes, config, change, message = REFUSED[name]
    model = tiny(family, changes, config)
    change(model)
    with pytest.raises(ModelError, match=message) as error:
        export(model, tmp_path / "model")
    assert "sparsebench.models.save" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_outputs_are_compared(tmp_path: Path) -> None:
    model = tiny("Llama", {}, moe())
    hook(model)
    model.train()
    with pytest.raises(ModelError, match=r"the MixtralForCausalLM would not compute what .* differ by 0\."):
        export(model, tmp_path / "model")
    assert not list(tmp_path.iterdir()) and all(module.training for module in model.modules())


def test_llama_cpp_wants_the_head_of_qwen2_as_a_tensor_of_its_own(tmp_path: Path) -> None:
    model = CASES["Llama, not renormalised, shared, tied head"].model()
    for engine, tied in (("transformers", True), ("llama.cpp", False)):
        assert export(model, tmp_path / engine, engine=engine) == "Qwen2MoeForCausalLM"
        assert json.loads((tmp_path / engine / "config.json").read_text())["tie_word_embeddings"] is tied
        assert ("lm_head.weight" in load_file(tmp_path / engine / "model.safetensors")) is not tied


def test_an_engine_that_nobody_has_tried(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"engine='ollama' is not one of transformers, llama\.cpp"):
        export(tiny("Llama", {}, moe()), tmp_path / "model", engine="ollama")  # type: ignore[arg-type]


def test_quantised_weights_are_written_dense_only_where_that_is_wanted(tmp_path: Path) -> None:
    """155.8 MB of a model that had 4 bits, without a word."""
    model = tiny("Llama", {}, moe(num_shared=1))
    quantise(model, QuantiseConfig(method="rtn", grid=Grid(bits=4, group_size=None)))
    with pytest.raises(ModelError, match=r"weights are quantised, as .*weights='dense'.*export_compressed_tensors"):
        export(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())
    export(model, tmp_path / "model", weights="dense")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    ids = torch.arange(3, 40)[None]
    with dense_products():
        torch.testing.assert_close(again(ids).logits, model(ids).logits, atol=1e-4, rtol=0)


def test_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "note.txt").write_text("mine")
    with pytest.raises(ModelError, match="not an empty folder"):
        export(tiny("Llama", {}, moe()), tmp_path / "model")
    assert [file.name for file in (tmp_path / "model").iterdir()] == ["note.txt"]
    (tmp_path / "model" / "note.txt").unlink()
    export(tiny("Llama", {}, moe()), tmp_path / "model")
    assert (tmp_path / "model" / "config.json").is_file()
