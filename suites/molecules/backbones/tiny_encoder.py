"""Graph2Seq with random weights: 2 layers, width 32, 4 words (smoke test only)"""

import torch

from ..features.graph2seq import Graph2SeqBody, pool_of
from ..random_weights import random_model, tiny_config

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "features", "graph words", "blocks", "attention", "ffn")


def load(generator: torch.Generator, argument: str | None = None) -> Graph2SeqBody:
    """The body, and its decoder as `generator`. Raises ValueError for an unknown pool."""
    return Graph2SeqBody(random_model(tiny_config(), generator), pool_of("tiny_encoder", argument))
