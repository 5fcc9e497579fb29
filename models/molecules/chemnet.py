"""ChemNet (Mayr et al., Chem. Sci. 2018, 9, 5441): the network whose last state the Fréchet ChemNet distance compares.

Read as in Preuer et al., J. Chem. Inf. Model. 2018, 58, 1736, and in the PyTorch port of its weights.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from ..errors import ModelError
from ..length_batches import length_batches

SYMBOLS = (*"CNOHF", "Cl", "P", "B", "Br", "S", "I", "Si", *"#()+-12345678=[]@cnosX.")
"""One-hot places; X stands for every other symbol, "." for the end."""

WIDTH = 512
LENGTH = 350
"""Symbols of a padded input."""
STEPS = 88
"""Steps that the two strided convolutions make of them."""

_PLACE = {symbol: place for place, symbol in enumerate(SYMBOLS)}
_EMPTY = len(SYMBOLS)
_UNKNOWN = _PLACE["X"]
_END = _PLACE["."]
_SYMBOL = re.compile(r".[ril]|.", re.DOTALL)
_LAYERS = ("conv1", "conv2", "backwards", "forwards")
_KINDS = ("Conv1d", "Conv1d", "LSTM", "LSTM")


class ChemNet(nn.Module):
    """Two convolutions, an LSTM that reads from the end, and one from the start whose last state is the output.

    An input is always `LENGTH` long. Beyond its end all activations are zero, since the convolutions have no bias, so
    the first LSTM, which starts there, is run once for the whole batch up to the longest molecule: exact and cheaper.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(len(SYMBOLS), 32, 4, stride=2, padding=1, bias=False)
        self.conv2 = nn.Conv1d(32, 32, 4, stride=2, bias=False)
        self.backwards = nn.LSTM(32, 128, batch_first=True)
        self.forwards = nn.LSTM(128, WIDTH, batch_first=True)
        one_hot = torch.eye(_EMPTY + 1, _EMPTY) / len(SYMBOLS)  # scaled as in the released FCD
        self.register_buffer("one_hot", one_hot, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Activations (N, 512) of token numbers (N, T <= 350) as `encode` gives them."""
        steps = min((tokens.shape[1] // 2 + 1) // 2 + 1, STEPS)  # after these all is zero
        tokens = F.pad(tokens, (0, min(4 * steps, LENGTH) - tokens.shape[1]), value=_EMPTY)
        x = F.embedding(tokens, self.get_buffer("one_hot")).transpose(1, 2)
        x = F.selu(self.conv2(F.pad(F.selu(self.conv1(x)), (1, 2))))
        x = self._read_backwards(x.transpose(1, 2))
        return self.forwards(x)[1][0][0]

    def _read_backwards(self, x: Tensor) -> Tensor:
        """The first LSTM over (N, steps, 32) and the zeros after it: (N, `STEPS`, 128) in the order of the text."""
        rows, steps, channels = x.shape
        if steps == STEPS:
            return self.backwards(x.flip(1))[0].flip(1)
        tail, state = self.backwards(x.new_zeros(1, STEPS - steps, channels))
        state = tuple(part.expand(-1, rows, -1).contiguous() for part in state)
        read, _ = self.backwards(x.flip(1), state)
        return torch.cat([tail.expand(rows, -1, -1), read], dim=1).flip(1)

    @torch.inference_mode()
    def activations(self, smiles: Sequence[str], batch_size: int = 128) -> Tensor:
        """Activations, float32 (molecules, 512) on the CPU, of canonical SMILES strings (RDKit's `MolToSmiles`).

        FCD is defined on canonical strings; another string of the same molecule has other activations.
        """
        lengths = [len(text) for text in smiles]
        result = torch.empty(len(smiles), WIDTH)
        for batch in length_batches(lengths, batch_size, keep_empty=True):
            rows: list[int] = batch.tolist()
            tokens = encode([smiles[row] for row in rows])
            result[rows] = self(tokens.to(self.conv1.weight.device)).float().cpu()
        return result


def encode(smiles: Sequence[str]) -> Tensor:
    """Token numbers, int64 (N, longest), of SMILES strings, each closed by the end token and cut to `LENGTH` tokens.

    As in FCD, a symbol is one character, or two when the second is r, i or l, and what follows the first "." is not
    read: of a salt, only the first component counts.
    """
    rows = []
    for text in smiles:
        symbols = _SYMBOL.findall(text.partition(".")[0])[: LENGTH - 1]
        numbers = [_PLACE.get(symbol, _UNKNOWN) for symbol in symbols]
        rows.append(torch.tensor([*numbers, _END]))
    if not rows:
        return torch.empty(0, 1, dtype=torch.int64)
    return pad_sequence(rows, batch_first=True, padding_value=_EMPTY)


def load_chemnet(file: Path | str) -> ChemNet:
    """ChemNet in eval mode with the weights of ``file``, the checkpoint of the package fcd-torch.

    It is a list of (kind, (state, sizes, flags)). Nothing but tensors and plain containers is unpickled. Raises
    `ModelError` when the file holds something else.
    """
    try:
        layers = torch.load(file, map_location="cpu", weights_only=True)
        kinds = tuple(kind for kind, _ in layers)
        states = [state for _, (state, _, _) in layers]
    except (pickle.UnpicklingError, EOFError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ModelError(f"{Path(file).name} is no ChemNet checkpoint: {type(error).__name__}") from error
    if kinds != _KINDS:
        raise ModelError(f"{Path(file).name} is no ChemNet checkpoint: its layers are {kinds}, not {_KINDS}")
    network = ChemNet()
    for name, state in zip(_LAYERS, states, strict=True):
        network.get_submodule(name).load_state_dict(state)
    return network.eval().requires_grad_(False)
