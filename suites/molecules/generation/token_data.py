"""Molecules as training data of a generation task."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sparsebench.models.graphsgpt import TokenBatch, TokenisedMolecules, Tokenizer, Vocabulary, collate


@dataclass(frozen=True)
class TokenData:
    """Tokens (4, L) of the training molecules, for the training loop."""

    train: Sequence[Any]
    lengths: Sequence[int]
    device: torch.device

    def collate(self, molecules: list[Any]) -> TokenBatch:
        """A batch on the cell's device."""
        return collate(molecules).to(self.device)


def token_data(smiles: Sequence[str], vocabulary: Vocabulary, device: torch.device) -> TokenData:
    """All of the molecules that have tokens; those of the last call are remembered."""
    tokens = _tokens(tuple(smiles), vocabulary)
    rows = tokens.ok.tolist()
    train = [tokens[row] for row in rows]
    return TokenData(train, tokens.lengths[rows].tolist(), device)


@functools.lru_cache(maxsize=1)
def _tokens(smiles: tuple[str, ...], vocabulary: Vocabulary) -> TokenisedMolecules:
    return Tokenizer(vocabulary)(smiles)
