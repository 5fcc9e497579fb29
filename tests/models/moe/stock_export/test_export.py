"""Stock checkpoints compute what the converted model computes, in a process that cannot import sparsebench."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.quantisation import Grid, QuantiseConfig, dense_products, quantise
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert
from sparsebench.models.moe.layer import Alignment, MoEFFN
from sparsebench.models.moe.routing.router import LinearRouter
from sparsebench.models.moe.stock_export import export

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 54,  # neither a multiple of the number of experts nor of 8
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "vocab_size": 64,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "rms_norm_eps": 1e-3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
WINDOW = {"use_sliding_window": True, "sliding_window": 16}
SCRIPT = """
import json, sys
from pathlib import Path

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "sparsebench":
            raise ImportError("sparsebench is not installed here")

sys.meta_path.insert(0, Absent())
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
torch.set_num_threads(1)
for folder in map(Path, sys.argv[1:]):
    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    ids = load_file(folder / "ids.safetensors")["ids"]
    with torch.no_grad():
        logits = model(ids).logits
        text = model.generate(ids[:, :5], max_new_tokens=12, do_sample=False)
    save_file({"logits": logits.contiguous(), "text": text.contiguous()}, folder / "stock.safetensors")
    (folder / "class.json").write_text(json.dumps(type(model).__name__))
try:
    import sparsebench
except ImportError:
    sys.exit(0)
sys.exit("sparsebench could be imported")
"""


@dataclasses.dataclass(frozen=True)
class Case:
    family: str
    stock: str
    config: MoEConfig
    changes: dict[str, Any] = dataclasses.field(default_factory=dict)
    gain: bool = False
    dtype: torch.dtype = torch.float32

    def model(self) -> nn.Module:
        return tiny(self.family, self.changes, self.config, gain=self.gain, dtype=self.dtype)


def moe(**fields: Any) -> MoEConfig:
    return MoEConfig(num_experts=4, **fields)


CASES = {
    "v1": Case("Llama", "Mixtral", moe(scale="paper", noise="shazeer", balance="cv2", capacity=1.0)),
    "tied, rope scaling": Case(
        "Llama", "Mixtral", moe(score="softmax_topk"), {"tie_word_embeddings": True, "rope_parameters": LLAMA3_ROPE}
    ),
    "gain": Case("Llama", "Mixtral", moe(scale=1.7), gain=True),
    "top 1": Case("Llama", "Mixtral", moe(top_k=1, score="none", scale=2.0)),
    "upcycled": Case("Llama", "Mixtral", moe(split="whole", reinit=0.5, score="softmax_topk")),
    "window": Case("Mistral", "Mixtral", moe(), {"sliding_window": 16, "head_dim": 16}),
    "shared": Case("Llama", "GraniteMoeShared", moe(num_shared=1, scale="norm")),
    "shared, gain": Case("Mistral", "Qwen2Moe", moe(num_shared=2, scale=0.7), {"sliding_window": 16}, gain=True),
    "not renormalised": Case("Llama", "Qwen2Moe", moe(score="softmax_topk", renorm=False)),
    "dense between": Case("Llama", "Qwen2Moe", moe(layers=(0, 2))),
    "biases": Case("Qwen2", "GraniteMoeShared", moe(), {"tie_word_embeddings": True}),
    "biases, shared": Case("Qwen2", "GraniteMoeShared", moe(num_shared=2, scale=0.7), gain=True),
    "biases, not renormalised": Case("Qwen2", "Qwen2Moe", moe(num_shared=1, score="softmax_topk", renorm=False)),
    "some windows": Case("Qwen2", "Qwen2Moe", moe(num_shared=1), WINDOW | {"max_window_layers": 1}),
    "norms": Case("Qwen3", "Qwen3Moe", moe(scale="paper"), {"head_dim": 16}),
    "norms, biases, window": Case(
        "Qwen3",
        "Qwen3Moe",
        moe(score="softmax_topk", renorm=False, layers=(1,)),
        WINDOW | {"max_window_layers": 0, "attention_bias": True},
    ),
    "norms, shared": Case("Qwen3", "Qwen3Next", moe(num_shared=1), {"tie_word_embeddings": True}),
    "norms, shared, biases": Case(
        "Qwen3", "Qwen3Next", moe(num_shared=1, layers=(1, 2), scale="norm"), {"attention_bias": True}, gain=True
    ),
    "all biases": Case("Llama", "GraniteMoeShared", moe(), {"attention_bias": True}),
    "all biases, shared": Case(
        "Llama", "GraniteMoeShared", moe(num_shared=2), {"attention_bias": True, "head_dim": 16}
    ),
    "sigmoid": Case("Llama", "Glm4Moe", moe(score="sigmoid")),
    "sigmoid, shared": Case("Qwen2", "Glm4Moe", moe(score="sigmoid", renorm=False, num_shared=2, layers=(1, 2))),
    "sigmoid, norms": Case("Qwen3", "Glm4Moe", moe(score="sigmoid", num_shared=1, scale="norm"), gain=True),
    "sigmoid, norms, windows": Case(
        "Qwen3",
        "Dots1",
        moe(score="sigmoid", num_shared=1),
        WINDOW | {"max_window_layers": 1, "attention_bias": True, "tie_word_embeddings": True},
    ),
    "sigmoid, bias": Case("Llama", "Glm4Moe", moe(score="sigmoid", balance="bias", densemixer=True, z_coef=0.1)),
    "half of the neurons": Case("Llama", "GraniteMoeShared", MoEConfig(num_shared=3, top_k=1, score="none")),
    "bfloat16": Case("Llama", "Mixtral", moe(scale=1.7), dtype=torch.bfloat16),
    "bfloat16, shared": Case("Qwen3", "Qwen3Next", moe(num_shared=1), dtype=torch.bfloat16),
}


def tiny(
    family: str,
    changes: dict[str, Any],
    config: MoEConfig,
    *,
    gain: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Any:
    """A converted model whose parameters, norms and biases included, are all different."""
    base = getattr(transformers, f"{family}Config")(**SIZES | changes, dtype=dtype)
    generator = torch.Generator().manual_seed(0)
    model = getattr(transformers, f"{family}ForCausalLM")._from_config(base).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.mean().round() + 0.2 * torch.randn(parameter.shape, generator=generator))
        convert(model, config)
        for layer in mixtures(model):
            layer.router.weight.normal_(generator=generator)
            if layer.router.choice_bias is not None:
                layer.router.choice_bias.value.normal_(std=0.2, generator=generator)
            if gain:
                layer.alignment = Alignment(torch.rand(32, generator=generator) + 0.5, torch.zeros(32))
    return model


def median_error(logits: Tensor, exact: Tensor) -> Tensor:
    return ((logits.float() - exact).norm(dim=-1) / exact.norm(dim=-1)).median()


def mixtures(model: nn.Module) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, MoEFFN)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every case exported, with our logits and text; then loaded and run by one process without sparsebench."""
    found = {}
    for name, case in CASES.items():
        folder = found[name] = tmp_path_factory.mktemp("case")
        model = case.model()
        assert export(model, folder / "model") == f"{case.stock}ForCausalLM"
        ids = torch.randint(3, 64, (4, 250), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            logits = model(ids).logits
            text = model.generate(ids[:, :5], max_new_tokens=12, do_sample=False)
            wide = model.float()(ids).logits
        save_file({"ids": ids}, folder / "ids.safetensors")
        ours = {"logits": logits.contiguous(), "text": text.contiguous(), "wide": wide.contiguous()}
        save_file(ours, folder / "ours.safetensors")
    subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT, *map(str, found.values())], check=True, timeout=280)
    return found


@pytest.mark.parametrize("name", CASES)
def test_stock_checkpoint_has_the_same_logits_and_text(folders: dict[str, Path], name: str) -> None:
    ours, stock = (load_file(folders[name] / f"{who}.safetensors") for who in ("ours", "stock"))
    assert json.loads((folders[name] / "class.json").read_text()) == f"{CASES[name].stock}ForCausalLM"
    assert ours["logits"].std() > 0.3
    assert stock["logits"].dtype == CASES[name].dtype
    if CASES[name].dtype == torch.bfloat16:
        # Tokens near a tie of two experts may go to the other one: no worse than ours, seen from float32.
        error, own = (median_error(logits, ours["wide"]) for logits in (stock["logits"], ours["logits"]))
        assert own < 0.05
        assert error < 1.5 * own
    else:
        torch.testing.assert_close(stock["logits"], ours["logits"], atol=1e-4, rtol=0)
        assert torch.equal(stock["text"], ours["text"])


def test_experts_end_in_zero_neurons(folders: dict[str, Path]) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(folders["gain"] / "model")
    experts = describe(model).blocks[0].mlp.experts
    assert [int((experts.weights(e).up != 0).any(1).sum()) for e in range(4)] == [14, 14, 13, 13]
    assert model.config.intermediate_size == 16


@pytest.mark.parametrize(
    "name", ["v1", "shared", "norms, biases, window", "sigmoid, shared", "sigmoid, norms, windows"]
)
def test_stock_checkpoint_is_described_as_the_converted_model_is(folders: dict[str, Path], name: str) -> None:
    stock = describe(transformers.AutoModelForCausalLM.from_pretrained(folders[name] / "model"))
    for block, ours in zip(stock.blocks, describe(CASES[name].model()).blocks, strict=True):
        assert block.mlp is not None and ours.mlp is not None
        assert block.mlp.kind == ours.mlp.kind
        if block.mlp.experts is None or ours.mlp.experts is None:
            continue
        assert (block.mlp.experts.num_experts, block.mlp.experts.top_k) == (4 - CASES[name].config.num_shared, 2)
        assert (block.mlp.experts.shared is None) == (ours.mlp.experts.shared is None)
        for expert in range(block.mlp.experts.num_experts):
            gate = ours.mlp.experts.weights(expert).gate
            assert gate is not None
            assert torch.equal(block.mlp.experts.weights(expert).gate[: len(gate)], gate)


def test_disk_layout_is_the_original_one_of_mixtral(folders: dict[str, Path]) -> None:
    names = load_file(folders["v1"] / "model" / "model.safetensors").keys()
    assert "model.layers.0.block_sparse_moe.experts.3.w2.weight" in names


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
    "glu router": ("Llama", {}, moe(), lambda model: route(model, router="glu", router_init="analytic"), "'glu'"),
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


ENGINES = {
    "Mixtral": ("Llama", {"tie_word_embeddings": True}, moe(), "Mixtral"),
    "Granite": ("Qwen2", {}, moe(num_shared=1), "GraniteMoeShared"),
    "Qwen2, tied head": (
        "Llama",
        {"tie_word_embeddings": True},
        moe(score="softmax_topk", renorm=False, num_shared=1),
        "Qwen2Moe",
    ),
    "Qwen3": ("Qwen3", {"tie_word_embeddings": True}, moe(), "Qwen3Moe"),
    "Qwen3, not renormalised": (
        "Qwen3",
        {},
        moe(score="softmax_topk", renorm=False),
        "runs Qwen3Moe only without weights that do not sum to 1",
    ),
    "Qwen2, dense between": ("Llama", {}, moe(layers=(0, 2)), "runs Qwen2Moe only without dense blocks among"),
    "Qwen2, renormalised": (
        "Mistral",
        {"sliding_window": 16},
        moe(num_shared=1),
        "runs Qwen2Moe only without a sliding window",
    ),
    "window": ("Mistral", {"sliding_window": 16}, moe(), "runs Mixtral only without a sliding window"),
    "Qwen3-Next": ("Qwen3", {}, moe(num_shared=1), "does not run Qwen3Next"),
    "GLM-4": ("Llama", {}, moe(score="sigmoid"), "does not run Glm4Moe"),
}
"""What llama.cpp's converter and engine were tried with: a class that they run, or why they run none."""


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_gets_what_it_runs(tmp_path: Path, name: str) -> None:
    family, changes, config, expected = ENGINES[name]
    model = tiny(family, changes, config)
    if not expected.startswith(("runs", "does")):
        assert export(model, tmp_path / "model", engine="llama.cpp") == f"{expected}ForCausalLM"
        tied = json.loads((tmp_path / "model" / "config.json").read_text())["tie_word_embeddings"]
        assert tied == (changes.get("tie_word_embeddings", False) and expected != "Qwen2Moe")
        assert ("lm_head.weight" in load_file(tmp_path / "model" / "model.safetensors")) is not tied
        again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model")
        ids = torch.arange(3, 40)[None]
        torch.testing.assert_close(again(ids).logits, model(ids).logits, atol=1e-4, rtol=0)
        return
    with pytest.raises(ModelError, match=f"llama.cpp {expected}.* engine='transformers'"):
        export(model, tmp_path / "model", engine="llama.cpp")
    assert not list(tmp_path.iterdir())


def test_an_engine_that_nobody_has_tried(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"engine='vllm' is not one of transformers, llama\.cpp"):
        export(tiny("Llama", {}, moe()), tmp_path / "model", engine="vllm")  # type: ignore[arg-type]


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
