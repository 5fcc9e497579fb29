"""The SMILES LSTM `char_rnn` with random weights: training from scratch (arXiv 1811.12823)"""

import json

import torch

from sparsebench.models.molecules.char_rnn import CharRNN, CharRNNConfig

from ..features.graph import seed_of

SOURCES = ()
TRAITS = ("parameters", "writes molecules")
RANDOM_WEIGHTS = True


def load(generator: torch.Generator, argument: str | None = None) -> CharRNN:
    """The network with the alphabet of MOSES. Raises ValueError for an argument: there is nothing to choose."""
    from ..char_rnn_small import FOLDER

    if argument is not None:
        raise ValueError(f"backbone 'char_rnn_random' takes no argument, not {argument!r}")
    packaged = json.loads((FOLDER / "config.json").read_text(encoding="utf-8"))
    return CharRNN(CharRNNConfig(**(packaged | {"seed": seed_of(generator)}))).eval()
