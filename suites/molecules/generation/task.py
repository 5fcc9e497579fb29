"""The protocol of tasks that generate molecules.

A backbone here is a `GraphsGPT`, or the baseline `CharRNN` (`writers.py`). A method may change it (experts in the place
of FFNs, say), and may wrap it in a sampler that says how molecules are sampled; a bare model samples with the defaults.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import nn

from sparsebench.models.graphsgpt import GraphsGPT
from sparsebench.models.molecules.char_rnn import CharRNN

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ...contracts.task import CostCall, LoadBackbone, Setup, Task
from ...contracts.traits import CALIBRATION_DATA, GENERATION, READY_HEAD, TRAINING_DATA, WRITES_MOLECULES
from .writers import Writer, writer_of

COST_MOLECULES = 32
"""Molecules of the one forward pass whose operations and CPU time are reported."""


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
        """Load the backbone, and what a method may see. Raises TypeError for one that writes no molecules."""
        model = load_backbone(context.generator("backbone-init"))
        writer = writer_of(model)
        model = model.to(context.device).eval()
        data = None
        if TRAINING_DATA in self.gives:
            data = writer.data(self.training_set(), context.device)
        return Setup(model=model, data=data, context=self._fill(writer, context), backbone=model)

    def subject(self, model: nn.Module, setup: Setup) -> Any:
        """The model as a sampler, with the defaults where no method made one of it."""
        if isinstance(model, GraphsGPT | CharRNN):
            return writer_of(model).sampler()
        return model

    def cost_call(self, subject: Any, context: Context) -> CostCall:
        """One forward pass over training molecules; of a GraphsGPT, of both halves."""
        writer = writer_of(subject.model)
        smiles = self.training_molecules(COST_MOLECULES, context.generator("costs"))
        batch = writer.batches(smiles, context.budget.batch_size, context.device)[0]
        return CostCall(subject.model, lambda network: writer.forward(network, batch), len(batch), "molecule")

    def _fill(self, writer: Writer, context: Context) -> Context:
        smiles = self.training_molecules(context.budget.calibration_examples, context.generator("calibration"))
        batches = writer.batches(smiles, context.budget.batch_size, context.device)
        return replace(
            context,
            target=writer.target,
            batches=lambda: batches,
            loss=writer.loss,
            tokens=writer.tokens,
        )
