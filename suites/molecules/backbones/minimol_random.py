"""MiniMol's network with random weights, `minimol_random:<width>x<layers>`, by default of its own size, 336x16

With full tuning, training from scratch: the control that says what the pre-trained weights are worth.
"""

import re

import torch

from ..features.graph import seed_of
from ..features.minimol import MiniMolBody

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "features", "message passing", "blocks", "ffn")


def load(generator: torch.Generator, argument: str | None = None) -> MiniMolBody:
    """The network. Raises ValueError for an argument that is not a width and a number of layers from 3 on."""
    from sparsebench.models.molecules.minimol import MiniMol, MiniMolConfig

    match = re.fullmatch(r"([1-9]\d*)x([3-9]|[1-9]\d+)", argument or "336x16")
    if match is None:
        raise ValueError(f"backbone 'minimol_random' wants width x layers (3 or more), as in 336x16, not {argument!r}")
    config = MiniMolConfig(width=int(match[1]), layers=int(match[2]), seed=seed_of(generator))
    return MiniMolBody(MiniMol(config))
