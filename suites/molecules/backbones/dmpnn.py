"""Directed message passing network with random weights, `dmpnn:<width>x<depth>` (Yang et al., arXiv 1904.01561)

The network of chemprop, the program that chemists train on a table of theirs: it wants full tuning with early stopping
(`patience`). Its authors use 300x3.
"""

import torch

from sparsebench.models.molecules.dmpnn import DMPNN, DMPNNConfig

from ..features.graph import GraphBody, seed_of, size_of

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "features", "message passing")


def load(generator: torch.Generator, argument: str | None = None) -> GraphBody:
    """The network. Raises ValueError for an argument that is not two positive numbers as in 300x3."""
    width, depth = size_of("dmpnn", argument or "300x3", "300x3")
    return GraphBody(DMPNN(DMPNNConfig(width=width, depth=depth, seed=seed_of(generator))))
