"""Graph2Seq, the encoder of GraphsGPT, pre-trained on MOSES: `graph2seq:<pool>` (arXiv 2402.02464)

The argument says what of the K graph words is the feature: `first` (the default, as published), `mean` or `concat`. The
weights are our own small model, which comes with this package.
"""

import torch

from ..features.graph2seq import Graph2SeqBody, pool_of

SOURCES = ()
TRAITS = ("parameters", "features", "graph words", "blocks", "attention", "ffn")


def load(generator: torch.Generator, argument: str | None = None) -> Graph2SeqBody:
    """The body, and its decoder as `generator`. Raises ValueError for an unknown pool."""
    from ..graphsgpt_small import load_small

    return Graph2SeqBody(load_small(), pool_of("graph2seq", argument))
