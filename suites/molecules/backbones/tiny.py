"""A graph isomorphism network of width 16 and 2 layers with random weights: smoke test only"""

import torch

from sparsebench.models.molecules.gin import GIN, GINConfig

from ..features.graph import GraphBody, seed_of

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "features", "message passing")


def load(generator: torch.Generator, argument: str | None = None) -> GraphBody:
    """The network. Raises ValueError for an argument: there is nothing to choose."""
    if argument is not None:
        raise ValueError(f"backbone 'tiny' takes no argument, not {argument!r}")
    return GraphBody(GIN(GINConfig(width=16, layers=2, seed=seed_of(generator))))
