"""Graph isomorphism network with random weights, `gin:<width>x<layers>` (Xu et al., 2019)

With full tuning, training from scratch; with a linear probe, the control that says what its random features are worth.
Hu et al. (2020) use 300x5.
"""

import torch

from sparsebench.models.molecules.gin import GIN, GINConfig

from ..features.graph import GraphBody, seed_of, size_of

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "features", "message passing")


def load(generator: torch.Generator, argument: str | None = None) -> GraphBody:
    """The network. Raises ValueError for an argument that is not two positive numbers as in 300x5."""
    width, layers = size_of("gin", argument or "64x3", "300x5")
    return GraphBody(GIN(GINConfig(width=width, layers=layers, seed=seed_of(generator))))
