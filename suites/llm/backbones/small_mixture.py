"""Mixtral of 1.02 M parameters, 0.43 M at work on a token, bytes as tokens (`suites/llm/small_models/mixture.py`)

The small Llama, cut into eight experts a block and trained on by this project, two experts for a token: 4 layers, width
128, experts of 64 neurons, 512 tokens. Seed 0, 1,700 steps on the text that the small Llama has learnt already; on the
held-out ends of its domains: encyclopedic 2.31, code 1.90, law 1.84, mathematics 2.06, science 2.21, speech 1.89, drama
2.69 bits per byte. It shows effects on a mixture that was trained, cheaply, and is no model to use.
"""

import torch

from ..language.task import CausalLM
from ..small_models.byte_tokenizer import byte_tokenizer
from ..small_models.llama import published
from ..small_models.mixture import small_mixtral

SOURCES = ()
TRAITS = ("parameters", "blocks", "attention", "experts", "causal")
DESCRIBERS = ("hf_mixture",)
SHA256 = "fc7a337bd1c32be29ba3f1e602741ac859e2dd2f90589a1366848f67ae93e519"
"""Digest of the weights: here, so that other weights are another backbone to the runner."""


def load(generator: torch.Generator, argument: str | None = None) -> CausalLM:
    """The trained weights. Raises `ValueError` for a file of other weights."""
    return CausalLM(published(small_mixtral(), "small_mixture", SHA256), byte_tokenizer())
