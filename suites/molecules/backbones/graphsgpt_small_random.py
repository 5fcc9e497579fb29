"""GraphsGPT of the shape of `graphsgpt`, with random weights: training from scratch (Gao et al., arXiv 2402.02464)"""

import torch

from sparsebench.models.graphsgpt import GraphsGPT

SOURCES = ()
TRAITS = ("parameters", "writes molecules", "graph words", "blocks", "attention", "ffn")
RANDOM_WEIGHTS = True


def load(generator: torch.Generator, argument: str | None = None) -> GraphsGPT:
    """Both halves, 2.1 M parameters. Raises ValueError for an argument: there is nothing to choose."""
    from ..graphsgpt_small import small_config
    from ..random_weights import random_model

    if argument is not None:
        raise ValueError(f"backbone 'graphsgpt_small_random' takes no argument, not {argument!r}")
    return random_model(small_config(), generator)
