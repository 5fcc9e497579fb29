"""GraphsGPT with random weights: 2 layers, width 32, 4 words (smoke test only)"""

import torch

from sparsebench.models.graphsgpt import GraphsGPT

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "writes molecules", "graph words", "blocks", "attention", "ffn")


def load(generator: torch.Generator, argument: str | None = None) -> GraphsGPT:
    """Both halves. Raises ValueError for an argument: there is nothing to choose."""
    from ..random_weights import random_model, tiny_config

    if argument is not None:
        raise ValueError(f"backbone 'tiny_generator' takes no argument, not {argument!r}")
    return random_model(tiny_config(properties={"logp": (2.5, 1.0)}), generator)
