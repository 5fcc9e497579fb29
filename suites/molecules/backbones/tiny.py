"""A graph isomorphism network of width 16 and 2 layers with random weights: smoke test only"""

import torch

from ..features.graph import GraphBody

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "features", "message passing")


def load(generator: torch.Generator, argument: str | None = None) -> GraphBody:
    """The network. Raises ValueError for an argument: there is nothing to choose."""
    if argument is not None:
        raise ValueError(f"backbone 'tiny' takes no argument, not {argument!r}")
    return GraphBody(16, 2, generator)
