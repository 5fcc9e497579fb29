"""Llama of 1.02 M parameters that has seen half of the calibration text (`suites/llm/small_models/half_llama.py`)

The shape and the recipe of `small_llama`, but trained on the first halves of the calibration halves alone: for
studies that train a model further on text that it has not seen. Seed 0, 1,700 steps, 3.5 MB; on the held-out ends of
the calibration halves: encyclopedic 2.40, code 2.10, law 1.97, mathematics 2.22, science 2.35, speech 1.97, drama
2.79 bits per byte. It shows effects cheaply and is no model to use.
"""

import torch

from ..language.task import CausalLM
from ..small_models.byte_tokenizer import byte_tokenizer
from ..small_models.llama import published, small_llama

SOURCES = ()
TRAITS = ("parameters", "blocks", "attention", "ffn", "causal")
DESCRIBERS = ("hf_decoder",)
SHA256 = "0b3a97e287e276a046cc5213bef8a7a584b61f734413034b01955b4f775f78d0"
"""Digest of the weights: here, so that other weights are another backbone to the runner."""


def load(generator: torch.Generator, argument: str | None = None) -> CausalLM:
    """The trained weights. Raises `ValueError` for an argument and for a file of other weights."""
    if argument is not None:
        raise ValueError(f"half_llama:{argument}: there is no argument; random weights are small_llama:scratch")
    return CausalLM(published(small_llama(), "half_llama", SHA256), byte_tokenizer())
