"""Graph isomorphism network with random weights, `gin:<width>x<layers>` (Xu et al., 2019)

With full tuning, training from scratch; with a linear probe, the control that says what its random features are worth.
Hu et al. (2020) use 300x5.
"""

import re

import torch

from ..features.graph import GraphBody

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "features", "message passing")


def load(generator: torch.Generator, argument: str | None = None) -> GraphBody:
    """The network. Raises ValueError for an argument that is not two positive numbers as in 300x5."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", argument or "64x3")
    if match is None:
        raise ValueError(f"backbone 'gin' wants width x layers, as in gin:300x5, not {argument!r}")
    return GraphBody(int(match[1]), int(match[2]), generator)
