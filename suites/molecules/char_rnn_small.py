"""The baseline that writes SMILES strings, trained on MOSES by `pretraining/char_rnn.py`: 0.5 million parameters.

Its settings, what its training took and what was measured on it are in `weights/char_rnn_small/card.json`.
"""

from hashlib import sha256
from pathlib import Path

from sparsebench.models.molecules.char_rnn import CharRNN

FOLDER = Path(__file__).with_name("weights") / "char_rnn_small"
CHECKSUM = "c985b098befe404ee99830849dd018f58b6c19558f13b7d1ef9164af0a5ab113"
"""sha256 of the weights: what the backbone was written for."""
CORE_SECONDS = 171.0
"""CPU seconds of the one process that trained it, as the card says."""


def load_char_rnn() -> CharRNN:
    """The model in float32, in eval mode. Raises ValueError if the packaged weights are not those of this version."""
    content = (FOLDER / "model.safetensors").read_bytes()
    if sha256(content).hexdigest() != CHECKSUM:
        raise ValueError("the weights of char_rnn_small are not those that this version was written for: reinstall")
    model = CharRNN.load(FOLDER)
    model.core_seconds = CORE_SECONDS
    return model
