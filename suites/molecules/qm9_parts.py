"""QM9 for training GraphsGPT: 100,000 training molecules, 1,000 test molecules without a twin among them."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from sparsebench.data.molecules.qm9 import qm9
from sparsebench.models.graphsgpt import TokenBatch, TokenisedMolecules, Tokenizer, Vocabulary, collate

TRAIN, TEST = 100_000, 1_000


@dataclass(frozen=True)
class TokenData:
    """Tokens of the training molecules, for the training loop."""

    train: Sequence[Any]
    lengths: Sequence[int]
    device: torch.device

    def collate(self, molecules: list[Any]) -> TokenBatch:
        """A batch on the cell's device."""
        return collate(molecules).to(self.device)


def token_data(vocabulary: Vocabulary, device: torch.device) -> TokenData:
    """All training molecules that have tokens."""
    tokens = _tokens(vocabulary)
    rows = tokens.ok.tolist()
    return TokenData([tokens[row] for row in rows], tokens.lengths[rows].tolist(), device)


@functools.cache
def parts() -> tuple[list[str], list[str]]:
    """Training and test strings, random but fixed; no test molecule equals a training molecule without stereo."""
    everything = qm9()
    order = torch.randperm(len(everything), generator=torch.Generator().manual_seed(0)).tolist()
    train = [everything[row] for row in order[:TRAIN]]
    return train, list(islice(_new((everything[row] for row in order[TRAIN:]), train), TEST))


def _new(candidates: Iterable[str], known: Iterable[str]) -> Iterable[str]:
    seen = set(map(_flat, known))
    return (text for text in candidates if _flat(text) not in seen)


def _flat(smiles: str) -> str:
    """Canonical SMILES without stereo."""
    from rdkit import Chem

    return Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False)


@functools.lru_cache(maxsize=1)
def _tokens(vocabulary: Vocabulary) -> TokenisedMolecules:
    """Tokenised once per process."""
    return Tokenizer(vocabulary)(parts()[0])
