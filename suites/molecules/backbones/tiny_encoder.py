"""Graph2Seq with random weights: 2 layers, width 32, 4 words (smoke test only)"""

import torch

from ..graph2seq_body import Graph2SeqBody
from ..pooling import pool_of, random_model

SOURCES = ()
RANDOM_WEIGHTS = True
FAMILY = "molecule encoder"


def load(generator: torch.Generator, argument: str | None = None) -> Graph2SeqBody:
    """The body, with its decoder beside it. Raises ValueError for an unknown pool."""
    from sparsebench.models.graphsgpt import Vocabulary
    from sparsebench.models.graphsgpt.configuration import GraphsGPTConfig

    config = GraphsGPTConfig.of(
        Vocabulary.improved(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_words=4,
    )
    return Graph2SeqBody(random_model(config, generator), pool_of("tiny_encoder", argument))
