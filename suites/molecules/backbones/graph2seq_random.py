"""Graph2Seq of the same size with random weights: `graph2seq_random:<pool>`, the control of pre-training

With full tuning, training from scratch, the lower rows of the paper's table of MoleculeNet; with a linear probe, what
its random features are worth.
"""

import torch

from ..features.graph2seq import Graph2SeqBody, pool_of
from ..random_weights import random_encoder

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "features", "graph words", "blocks", "attention", "ffn")


def load(generator: torch.Generator, argument: str | None = None) -> Graph2SeqBody:
    """The body. Raises ValueError for an unknown pool."""
    from ..graphsgpt_small import small_config

    return Graph2SeqBody(random_encoder(small_config(), generator), pool_of("graph2seq_random", argument))
