"""The encoder of a GraphsGPT in a folder of yours, `graph2seq_folder:<folder>`; the first graph word is the feature

Such a folder is what `sparsebench import` writes of a published checkpoint (arXiv 2402.02464).
"""

import torch

from ..features.graph2seq import Graph2SeqBody

SOURCES = ()
TRAITS = ("parameters", "features", "graph words", "blocks", "attention", "ffn")
NEEDS_ARGUMENT = True


def load(generator: torch.Generator, argument: str | None = None) -> Graph2SeqBody:
    """The body, and its decoder as `generator`. Raises ValueError for a folder that holds no such model."""
    from ..folder import load_folder

    return Graph2SeqBody(load_folder("graph2seq_folder", argument))
