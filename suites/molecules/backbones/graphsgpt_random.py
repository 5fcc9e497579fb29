"""GraphsGPT with random weights, `graphsgpt_random:<width>x<layers>`, eight words (Gao et al., arXiv 2402.02464)

For what trains from scratch; both halves have so many layers.
"""

import re

import torch

from sparsebench.models.graphsgpt import GraphsGPT, GraphsGPTConfig, Vocabulary

from ..random_weights import random_model

SOURCES = ()
TRAITS = ("parameters", "writes molecules", "graph words", "blocks", "attention", "ffn")
RANDOM_WEIGHTS = True
HEAD = 32


def load(generator: torch.Generator, argument: str | None = None) -> GraphsGPT:
    """The network, 96x3 by default. Raises ValueError for an argument that is not a multiple of 32 and a number."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", argument or "96x3")
    if match is None or int(match[1]) % HEAD:
        raise ValueError(f"backbone 'graphsgpt_random' wants width x layers, as in 96x3, not {argument!r}")
    width = int(match[1])
    config = GraphsGPTConfig.of(
        Vocabulary.improved(),
        num_words=8,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=int(match[2]),
        num_attention_heads=width // HEAD,
    )
    return random_model(config, generator)
