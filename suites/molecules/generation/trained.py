"""The protocol of tasks on which a generator trains, for a stated number of steps, before molecules are drawn from it.

Whatever a row changes of the generator (experts in the place of FFNs, adapters, pruned weights) is thus measured after
training; the row to compare with is the same generator, unchanged, after as many steps on the same molecules in the
same order. Molecules are written from a request that asks for nothing (`unasked.py`), as they are drawn afterwards.
"""

import warnings
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch

from ...contracts.context import Context
from ...contracts.task import LoadBackbone, Setup
from ...contracts.traits import REFERENCES, TRAINING_DATA
from .task import GenerationTask
from .unasked import Pair, Unasked, UnaskedData, unasked
from .writers import Writer, writer_of

NOTE = "training molecules"


class TrainedGeneration(GenerationTask):
    """Base of these tasks; a subclass implements `training_part`, `training_set` and `evaluate`.

    A row trains on as many molecules as its steps see, each once, and on no more than `train_fraction` of them; a
    budget in epochs or tokens takes all of that fraction. They are drawn again for each seed, and are the same for
    every row.
    `details["training molecules"]` says how many were drawn and how many of them the model can write.
    """

    gives: ClassVar[frozenset[str]] = GenerationTask.gives | {TRAINING_DATA, REFERENCES}

    @abstractmethod
    def training_part(self) -> Sequence[str]:
        """The molecules that may be trained on."""

    def load_shared(self) -> None:
        """The molecules."""
        self.training_set()
        self.training_part()

    def build(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """Load the backbone, and the molecules that it trains on.

        Molecules that it cannot write are left out, with a warning. Raises TypeError for a backbone that writes no
        molecules, `NotApplicable` for one from which nothing is drawn without references.
        """
        model = load_backbone(context.generator("backbone-init"))
        writer = writer_of(model)
        how = unasked(model)
        model = model.to(context.device).eval()
        drawn = self._drawn(context)
        data = UnaskedData(writer.data(drawn, context.device), how)
        _note(context, len(drawn), len(data.train))
        return Setup(model=model, data=data, context=self._unasked_context(writer, how, context), backbone=model)

    def _drawn(self, context: Context) -> list[str]:
        """What a row trains on, in random order."""
        molecules = list(self.training_part())
        budget = context.budget
        count = max(1, round(budget.train_fraction * len(molecules)))
        if budget.steps is not None:
            count = min(count, budget.steps * budget.batch_size)
        order = torch.randperm(len(molecules), generator=context.task_generator("training molecules"))
        return [molecules[row] for row in order[:count].tolist()]

    def _unasked_context(self, writer: Writer, how: Unasked, context: Context) -> Context:
        """The context with pairs as batches, for calibration, too."""
        filled = self._fill(writer, context)
        pairs = [how.pair(batch) for batch in filled.batches()]
        return replace(filled, batches=lambda: pairs, inputs=_inputs, loss=how.loss, tokens=how.tokens)


def _inputs(pair: Pair) -> Any:
    return pair.inputs


def _note(context: Context, drawn: int, written: int) -> None:
    """Of the cell's own backbone, which is set up before any other."""
    if NOTE in context.notes:
        return
    context.note(NOTE, {"drawn": drawn, "written": written})
    if written < drawn:
        warnings.warn(f"{drawn - written} of {drawn} training molecules cannot be written by the model", stacklevel=2)
