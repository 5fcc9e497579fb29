"""GraphsGPT of 2.1 M parameters, pre-trained on MOSES by us: writes molecules (Gao et al., arXiv 2402.02464)"""

import torch

from sparsebench.models.graphsgpt import GraphsGPT

SOURCES = ()
TRAITS = ("parameters", "writes molecules", "graph words", "blocks", "attention", "ffn")


def load(generator: torch.Generator, argument: str | None = None) -> GraphsGPT:
    """Both halves with the packaged weights. Raises ValueError for an argument: there is nothing to choose."""
    from ..graphsgpt_small import load_small

    if argument is not None:
        raise ValueError(f"backbone 'graphsgpt' takes no argument, not {argument!r}")
    return load_small()
