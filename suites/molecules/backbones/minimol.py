"""MiniMol (arXiv 2404.14986): 16 layers of GINE with a virtual node, pre-trained on 6 million molecules

7.9 million parameters without the heads of pre-training. `minimol:folded` computes the same with the norms inside the
MLPs of the 14 layers in the middle put in front of them, so that their neurons can be cut into experts or pruned.
`minimol:first8` has the first 8 layers alone and pools their atoms: a smaller network, of 1 to 15 layers.
"""

import re

import torch

from ..features.minimol import MiniMolBody

SOURCES = ("minimol",)
TRAITS = ("parameters", "features", "message passing", "blocks", "ffn")


def load(generator: torch.Generator, argument: str | None = None) -> MiniMolBody:
    """The pre-trained network. Raises ValueError for another argument than `folded` and `first` with a number."""
    from sparsebench.data.sources import path
    from sparsebench.models.molecules.minimol import fold_norms, load_minimol

    first = re.fullmatch(r"first(1[0-5]|[1-9])", argument or "")
    if first is None and argument not in (None, "folded"):
        raise ValueError(f"backbone 'minimol' wants folded, or first1 to first15, not {argument!r}")
    network = load_minimol(path("minimol", "weights")).trunk
    if argument == "folded":
        fold_norms(network)
    if first is not None:
        network.keep_first(int(first[1]))
    return MiniMolBody(network)
