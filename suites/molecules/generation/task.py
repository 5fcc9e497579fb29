"""The protocol of tasks that generate molecules.

A backbone here is a `GraphsGPT`. A method may change it (experts in the place of FFNs, say), and may wrap it in a
`Sampler` that says how molecules are sampled; a bare model samples with the defaults.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from sparsebench.models.graphsgpt import GraphsGPT, TokenBatch, Tokenizer
from sparsebench.models.graphsgpt.model.configuration import own_vocabulary

from ...contracts.context import Context, Target
from ...contracts.costs import Clock, measure_costs
from ...contracts.method import Method
from ...contracts.metrics import Scores
from ...contracts.task import LoadBackbone, Outcome, Setup, Task
from ...contracts.traits import Backbone
from ..families import GENERATOR
from .sampler import Sampler
from .token_data import token_data

COST_MOLECULES = 32
"""Molecules of the one forward pass, of both halves, whose operations and CPU time are reported."""


class GenerationTask(Task):
    """Base of the generation tasks; a subclass implements `training_set` and `evaluate`."""

    few_shot: ClassVar[bool] = False
    """Whether molecules sampled from reference molecules mean something here."""

    def unsupported(self, backbone: Backbone) -> str | None:
        """Only GraphsGPT writes molecules."""
        return None if backbone.family == GENERATOR else "the backbone writes no molecules"

    @abstractmethod
    def training_set(self) -> Sequence[str]:
        """All training molecules, as SMILES strings."""

    @abstractmethod
    def evaluate(self, sampler: Any, context: Context) -> tuple[Scores, Mapping[str, Any]]:
        """Scores of a sampler, whose model is in eval mode, and details for the record."""

    def training_molecules(self, count: int, generator: torch.Generator) -> list[str]:
        """`count` different ones at random: for calibration, for costs and as references."""
        molecules = list(self.training_set())
        rows = torch.randperm(len(molecules), generator=generator)[:count]
        return [molecules[row] for row in rows.tolist()]

    def setup(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """Load the backbone, and what a method may see."""
        model = load_backbone(context.generator("backbone-init"))
        if not isinstance(model, GraphsGPT):
            raise TypeError(f"a backbone of a generation task must be a GraphsGPT, not {type(model).__name__}")
        model = cast(Any, model).to(context.device).eval()
        data = None
        if self.trains:
            data = token_data(self.training_set(), own_vocabulary(model.config), context.device)
        return Setup(model=model, data=data, context=self._fill(model, context))

    def run(self, method: Method, load_backbone: LoadBackbone, context: Context) -> Outcome:
        """Load, prepare, fit, evaluate, measure."""
        clock = Clock()
        setup = self.setup(load_backbone, context)
        context = setup.context
        clock.stop("load")
        model = method.prepare(setup.model, context)
        clock.stop("prepare")
        curves = method.fit(model, setup.data, context)
        model = method.deploy(model).eval()
        clock.stop("fit")
        sampler: Any = model
        if isinstance(model, GraphsGPT):
            sampler = Sampler(model)
        scores, details = self.evaluate(sampler, context)
        clock.stop("evaluate")
        batch = self._batches(sampler.model, context, COST_MOLECULES, "costs")[0]
        costs = measure_costs(sampler.model, lambda network: network(batch), len(batch), "molecule")
        clock.stop("measure")
        return Outcome(
            metrics=scores.metrics,
            main_metric=scores.main,
            costs=costs,
            examples=scores.examples,
            times=clock.seconds,
            curves=curves,
            details=details,
        )

    def _fill(self, model: GraphsGPT, context: Context) -> Context:
        batches = self._batches(model, context, context.budget.calibration_examples, "calibration")
        return replace(
            context,
            target=Target("next-edge", 1 + model.config.num_bonds),
            batches=lambda: batches,
            loss=reconstruction_loss,
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
