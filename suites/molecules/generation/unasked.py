"""Molecules that a generator is to write when nothing is asked for: what it trains on so that new ones are drawn.

`Writer.loss` has a GraphsGPT write molecules from their own words, which teaches how they come back. What is drawn
without a condition comes from the words of a request that asks for nothing (`Sampler.sample`), so here molecules are
written from these. Batches are pairs of the model's arguments and what is to be written, as methods that train two
models side by side read them (`training/pair/joint.py`).
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sparsebench.models.graphsgpt import GraphsGPT, TokenBatch, collate
from sparsebench.models.graphsgpt.results import NOTHING
from sparsebench.models.molecules.char_rnn import CharRNN, StringBatch

from ...contracts.method import NotApplicable
from ...training.data_order import TrainingData

# Shapes: B molecules, L tokens of the longest, P properties that could be asked for.


class Pair(NamedTuple):
    """A batch: the arguments of the model, and the numbers (B, L) of what it is to write."""

    inputs: Mapping[str, Any]
    written: Tensor


class Unasked(ABC):
    """How a kind of generator writes without a condition."""

    @abstractmethod
    def pair(self, batch: Any) -> Pair:
        """Arguments and targets of a batch as a `Writer` makes it."""

    @abstractmethod
    def loss(self, model: nn.Module, pair: Pair) -> Tensor:
        """Mean loss of writing the molecules."""

    @abstractmethod
    def tokens(self, pair: Pair) -> int:
        """Tokens of a batch, padding not counted."""


@functools.singledispatch
def unasked(model: object) -> Unasked:
    """How a model writes without a condition.

    Args:
        model: a GraphsGPT or a CharRNN.

    Raises:
        NotApplicable: a GraphsGPT that takes no conditions, so that nothing is drawn from it without references.
        TypeError: another model.
    """
    raise TypeError(f"nothing is drawn from a {type(model).__name__}: it must be a GraphsGPT or a CharRNN")


@unasked.register
def _(model: GraphsGPT) -> Unasked:
    if not model.config.properties:
        raise NotApplicable("the model takes no conditions: without references it samples nothing")
    return UnaskedGraphs(len(model.config.property_names))


@unasked.register
def _(model: CharRNN) -> Unasked:
    return UnaskedStrings()


@dataclass(frozen=True)
class UnaskedGraphs(Unasked):
    """A GraphsGPT, asked for no scaffold and for none of its `properties`."""

    properties: int

    def pair(self, batch: TokenBatch) -> Pair:
        """The tokens, and the words of a request that asks for nothing."""
        device = batch.tokens.device
        source = collate([NOTHING] * len(batch)).to(device)
        wanted = torch.full((len(batch), self.properties), torch.nan, device=device)
        return Pair({"batch": batch, "source": source, "wanted": wanted}, batch.tokens)

    def loss(self, model: nn.Module, pair: Pair) -> Tensor:
        """The model's losses, summed."""
        return model(**pair.inputs).loss

    def tokens(self, pair: Pair) -> int:
        """Atoms and bonds."""
        return int(pair.inputs["batch"].lengths.sum())


class UnaskedStrings(Unasked):
    """A CharRNN, which is never asked for anything."""

    def pair(self, batch: StringBatch) -> Pair:
        """The characters, and what follows each."""
        return Pair({"inputs": batch.inputs}, batch.targets)

    def loss(self, model: nn.Module, pair: Pair) -> Tensor:
        """Mean over characters and ends."""
        return model.loss(StringBatch(pair.inputs["inputs"], pair.written))  # pyright: ignore[reportCallIssue]

    def tokens(self, pair: Pair) -> int:
        """Characters and ends."""
        return int((pair.written >= 0).sum())


@dataclass(frozen=True)
class UnaskedData:
    """Training data of a `Writer` whose batches are pairs."""

    molecules: TrainingData
    how: Unasked

    @property
    def train(self) -> Sequence[Any]:
        """The molecules, as the writer has them."""
        return self.molecules.train

    @property
    def lengths(self) -> Sequence[int] | None:
        """Tokens of each."""
        return self.molecules.lengths

    def collate(self, examples: list[Any]) -> Pair:
        """A batch on the device of the writer's data."""
        return self.how.pair(self.molecules.collate(examples))
