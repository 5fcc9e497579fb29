"""Folders by vLLM on the CPU."""

import gc
import os
from pathlib import Path
from typing import Any

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
os.environ |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1"}

from vllm import LLM, SamplingParams  # pyright: ignore[reportMissingImports]


def answer(folder: Path, ids: list[int], new: int) -> list[dict[int, float]]:
    """Of each new token the log-probabilities of the likeliest ones."""
    engine: Any = LLM(
        str(folder),
        dtype="float32",
        enforce_eager=True,
        max_model_len=64,
        max_num_seqs=1,
        skip_tokenizer_init=True,
        gpu_memory_utilization=0.05,
    )
    wanted = SamplingParams(temperature=0, max_tokens=new, ignore_eos=True, logprobs=20, detokenize=False)
    found = engine.generate({"prompt_token_ids": ids}, wanted, use_tqdm=False)[0].outputs[0]
    del engine
    gc.collect()
    return [{token: value.logprob for token, value in step.items()} for step in found.logprobs]
