"""A GraphsGPT in a folder of yours, `graphsgpt_folder:<folder>`, which `sparsebench import` wrote (arXiv 2402.02464)"""

import torch

from sparsebench.models.graphsgpt import GraphsGPT

SOURCES = ()
TRAITS = ("parameters", "writes molecules", "graph words", "blocks", "attention", "ffn")
NEEDS_ARGUMENT = True


def load(generator: torch.Generator, argument: str | None = None) -> GraphsGPT:
    """Both halves in float32. Raises ValueError for a folder that holds no such model."""
    from ..folder import load_folder

    return load_folder("graphsgpt_folder", argument)
