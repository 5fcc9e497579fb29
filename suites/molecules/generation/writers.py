"""What the tasks must know of a kind of model that writes molecules: batches, loss, and how it is sampled."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.graphsgpt import GraphsGPT, TokenBatch, TokenisedMolecules, Tokenizer, Vocabulary, collate
from sparsebench.models.graphsgpt.model.configuration import own_vocabulary
from sparsebench.models.molecules.char_rnn import CharRNN, StringBatch

from ...contracts.context import CPU, Target
from ...contracts.traits import GRAPH_WORDS, WRITES_MOLECULES, own_traits
from ...contracts.vocabulary import vocabulary
from .sampler import Sampler
from .string_sampler import StringSampler


class Writer(ABC):
    """A model that writes molecules, as the tasks see it."""

    model: Any

    @property
    @abstractmethod
    def target(self) -> Target:
        """What one step chooses among."""

    @abstractmethod
    def sampler(self) -> nn.Module:
        """The model with its default way of sampling."""

    @abstractmethod
    def batches(self, smiles: Sequence[str], size: int, device: torch.device) -> list[Any]:
        """Molecules as `loss` takes them, `size` at a time, without those that the model cannot read."""

    @abstractmethod
    def data(self, smiles: Sequence[str], device: torch.device) -> Any:
        """The same for the training loop."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """Mean loss of a batch that is to be written."""

    @abstractmethod
    def forward(self, model: nn.Module, batch: Any) -> object:
        """The pass whose costs are measured."""

    @abstractmethod
    def tokens(self, batch: Any) -> int:
        """Tokens of a batch, padding not counted."""


@functools.singledispatch
def writer_of(model: object) -> Writer:
    """How the tasks see a model. Raises TypeError for one that writes no molecules."""
    raise TypeError(f"a backbone of a generation task must be a GraphsGPT or a CharRNN, not {type(model).__name__}")


@own_traits.register
def _(loaded: GraphsGPT) -> frozenset[str]:
    return frozenset({WRITES_MOLECULES, GRAPH_WORDS})


@own_traits.register
def _(loaded: CharRNN) -> frozenset[str]:
    return frozenset({WRITES_MOLECULES})


@vocabulary.register
def _(loaded: GraphsGPT) -> Mapping[str, int] | None:
    if loaded.config.vocabulary is None:
        return None
    known = own_vocabulary(loaded.config)
    return {str(kind): number for number, kind in enumerate((*known.nodes, *known.edges))}


@vocabulary.register
def _(loaded: CharRNN) -> Mapping[str, int] | None:
    return {character: number for number, character in enumerate(loaded.config.characters, start=1)}


class GraphWriter(Writer):
    """A GraphsGPT, which writes a molecule edge by edge from its words."""

    def __init__(self, model: GraphsGPT) -> None:
        self.model = model

    @property
    def target(self) -> Target:
        """The classes of a bond, and the end."""
        return Target("next-edge", 1 + self.model.config.num_bonds)

    def sampler(self) -> nn.Module:
        """`Sampler`."""
        return Sampler(self.model)

    def batches(self, smiles: Sequence[str], size: int, device: torch.device) -> list[Any]:
        """Tokens, as `TokenBatch`."""
        tokens = Tokenizer(own_vocabulary(self.model.config))(smiles)
        rows = torch.from_numpy(tokens.ok).split(size)
        return [tokens.batch(part.numpy()).to(device) for part in rows]

    def data(self, smiles: Sequence[str], device: torch.device) -> TokenData:
        """`token_data`."""
        return token_data(smiles, own_vocabulary(self.model.config), device)

    def loss(self, model: nn.Module, batch: TokenBatch) -> Tensor:
        """The losses of molecules that are to be written from their own words, summed."""
        return model(batch).loss

    def forward(self, model: nn.Module, batch: TokenBatch) -> object:
        """Both halves."""
        return model(batch)

    def tokens(self, batch: TokenBatch) -> int:
        """Atoms and bonds."""
        return int(batch.lengths.sum())


class StringWriter(Writer):
    """A CharRNN, which writes a SMILES string."""

    def __init__(self, model: CharRNN) -> None:
        self.model = model

    @property
    def target(self) -> Target:
        """The characters, and the end."""
        return Target("next-token", 1 + len(self.model.config.characters))

    def sampler(self) -> nn.Module:
        """`StringSampler`."""
        return StringSampler(self.model)

    def batches(self, smiles: Sequence[str], size: int, device: torch.device) -> list[Any]:
        """Characters, as `StringBatch`."""
        known = self._known(smiles)
        return [self.model.batch(known[start : start + size]).to(device) for start in range(0, len(known), size)]

    def data(self, smiles: Sequence[str], device: torch.device) -> Strings:
        """`Strings` of those that the alphabet can write."""
        return Strings(self.model, self._known(smiles), device)

    def loss(self, model: nn.Module, batch: StringBatch) -> Tensor:
        """Mean over characters and ends."""
        return model.loss(batch)  # pyright: ignore[reportCallIssue]

    def forward(self, model: nn.Module, batch: StringBatch) -> object:
        """All characters at once."""
        return model(batch.inputs)

    def tokens(self, batch: StringBatch) -> int:
        """Characters and ends."""
        return int((batch.targets >= 0).sum())

    def _known(self, smiles: Sequence[str]) -> list[str]:
        """Those that the alphabet can write."""
        characters = set(self.model.config.characters)
        return [text for text in smiles if set(text) <= characters]


@writer_of.register
def _(model: GraphsGPT) -> Writer:
    return GraphWriter(model)


@writer_of.register
def _(model: CharRNN) -> Writer:
    return StringWriter(model)


@dataclass(frozen=True)
class Strings:
    """SMILES strings for the training loop; characters that the model does not know are refused."""

    model: CharRNN
    train: Sequence[str]
    device: torch.device = CPU

    @property
    def lengths(self) -> list[int]:
        """Characters of each."""
        return [len(text) for text in self.train]

    def collate(self, examples: list[str]) -> StringBatch:
        """A batch on the device."""
        return self.model.batch(examples).to(self.device)


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
