"""The protocol of tasks that generate molecules.

A backbone here is a `GraphsGPT`. A method may change it (experts in the place of FFNs, say), and may wrap it in a
`Sampler` that says how molecules are sampled; a bare model samples with the defaults.
"""

import functools
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from sparsebench.models.graphsgpt import GraphsGPT, TokenBatch, TokenisedMolecules, Tokenizer, Vocabulary, collate
from sparsebench.models.graphsgpt.model.configuration import own_vocabulary

from ...contracts.context import Context, Target
from ...contracts.metrics import Scores
from ...contracts.task import CostCall, LoadBackbone, Setup, Task
from ...contracts.traits import (
    CALIBRATION_DATA,
    GENERATION,
    READY_HEAD,
    TRAINING_DATA,
    WRITES_MOLECULES,
    own_traits,
)
from ...contracts.vocabulary import vocabulary
from .sampler import Sampler

COST_MOLECULES = 32
"""Molecules of the one forward pass, of both halves, whose operations and CPU time are reported."""


@own_traits.register
def _(loaded: GraphsGPT) -> frozenset[str]:
    return frozenset({WRITES_MOLECULES})


@vocabulary.register
def _(loaded: GraphsGPT) -> Mapping[str, int] | None:
    if loaded.config.vocabulary is None:
        return None
    known = own_vocabulary(loaded.config)
    return {str(kind): number for number, kind in enumerate((*known.nodes, *known.edges))}


class GenerationTask(Task):
    """Base of the generation tasks; a subclass implements `training_set` and `evaluate`."""

    gives: ClassVar[frozenset[str]] = frozenset({CALIBRATION_DATA, READY_HEAD, GENERATION})
    needs: ClassVar[frozenset[str]] = frozenset({WRITES_MOLECULES})

    @abstractmethod
    def training_set(self) -> Sequence[str]:
        """All training molecules, as SMILES strings."""

    @abstractmethod
    def evaluate(self, subject: Any, context: Context) -> Scores:
        """Scores of a `Sampler`, whose model is in eval mode, with details for the record."""

    def load_shared(self) -> None:
        """The training molecules."""
        self.training_set()

    def training_molecules(self, count: int, generator: torch.Generator) -> list[str]:
        """`count` different ones at random: for calibration, for costs and as references."""
        molecules = list(self.training_set())
        rows = torch.randperm(len(molecules), generator=generator)[:count]
        return [molecules[row] for row in rows.tolist()]

    def build(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """Load the backbone, and what a method may see. Raises TypeError for one that is no GraphsGPT."""
        model = load_backbone(context.generator("backbone-init"))
        if not isinstance(model, GraphsGPT):
            raise TypeError(f"a backbone of a generation task must be a GraphsGPT, not {type(model).__name__}")
        model = cast(Any, model).to(context.device).eval()
        data = None
        if TRAINING_DATA in self.gives:
            data = token_data(self.training_set(), own_vocabulary(model.config), context.device)
        return Setup(model=model, data=data, context=self._fill(model, context), backbone=model)

    def subject(self, model: nn.Module, setup: Setup) -> Any:
        """The model as a `Sampler`, with the defaults where no method made one of it."""
        if isinstance(model, GraphsGPT):
            return Sampler(model)
        return model

    def cost_call(self, subject: Any, context: Context) -> CostCall:
        """One forward pass of both halves over training molecules."""
        batch = self._batches(subject.model, context, COST_MOLECULES, "costs")[0]
        return CostCall(subject.model, lambda network: network(batch), len(batch), "molecule")

    def _fill(self, model: GraphsGPT, context: Context) -> Context:
        batches = self._batches(model, context, context.budget.calibration_examples, "calibration")
        return replace(
            context,
            target=Target("next-edge", 1 + model.config.num_bonds),
            batches=lambda: batches,
            loss=reconstruction_loss,
            tokens=lambda batch: int(batch.lengths.sum()),
        )

    def _batches(self, model: GraphsGPT, context: Context, count: int, axis: str) -> list[TokenBatch]:
        """Training molecules, the same for every method of a seed, `batch_size` at a time."""
        smiles = self.training_molecules(count, context.generator(axis))
        tokens = Tokenizer(own_vocabulary(model.config))(smiles)
        rows = torch.from_numpy(tokens.ok).split(context.budget.batch_size)
        return [tokens.batch(part.numpy()).to(context.device) for part in rows]


def reconstruction_loss(model: nn.Module, batch: TokenBatch) -> Tensor:
    """The losses of a batch of molecules that are to be written from their own words, summed."""
    return model(batch).loss


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
