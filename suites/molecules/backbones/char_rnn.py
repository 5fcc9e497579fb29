"""A SMILES LSTM of 0.5 M parameters, trained on MOSES by us: the baseline of generators (arXiv 1811.12823)

CharRNN with characters as tokens; a string that is no molecule is drawn again.
"""

import torch

from sparsebench.models.molecules.char_rnn import CharRNN

SOURCES = ()
TRAITS = ("parameters", "writes molecules")


def load(generator: torch.Generator, argument: str | None = None) -> CharRNN:
    """The network with the packaged weights. Raises ValueError for an argument: there is nothing to choose."""
    from ..char_rnn_small import load_char_rnn

    if argument is not None:
        raise ValueError(f"backbone 'char_rnn' takes no argument, not {argument!r}")
    return load_char_rnn()
