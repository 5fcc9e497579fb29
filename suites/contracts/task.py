"""The contract of a task: data with fixed splits, metrics and a protocol, all under one version number.

A task is one file in `suites/<suite>/tasks/`; the file name is its public name and the first line of its docstring the
caption. A family of near-equal tasks is one file with a table, one row for each (`suites/runner/discovery/table.py`).
Most tasks derive from the protocol of their kind (`suites/prediction/`, `suites/llm/`), which fills the steps of `run`
(`build`, `subject`, `evaluate`, `cost_call`), and state only their data.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import nn

from sparsebench.reports.records.record import Costs, Metric, TrainingCosts

from .applicability import check_loaded
from .context import Context, LoadBackbone, Setup
from .costs import Clock, measure_costs
from .freed_memory import freed_memory_kept
from .method import Method
from .metrics import Scores
from .traits import TRAINING_DATA, TaskTraits


class CostCall(NamedTuple):
    """What the costs of a model are measured on: `call(model)` works on `units` units (tokens, images, molecules)."""

    model: nn.Module
    call: Callable[[nn.Module], object]
    units: int
    unit: str


class SplitSize(NamedTuple):
    """Examples of a split, and those of them that are tested."""

    rows: int
    test: int


@dataclass(kw_only=True)
class Outcome:
    """What one run of a task gives; the runner adds the cell, the environment and the provenance."""

    metrics: Mapping[str, Metric]
    main_metric: str
    costs: Costs | None = None
    training: TrainingCosts | None = None
    """What training took; None where nothing was trained."""
    examples: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Per-example outcomes of the test part, in its fixed order."""
    times: Mapping[str, float] = field(default_factory=dict)
    """Seconds by phase: load, prepare, fit, evaluate, measure."""
    curves: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    split: SplitSize | None = None
    """Of the split that the seed chose; None where all seeds share one."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Anything else worth keeping that is not a score, as JSON values."""


class Task(TaskTraits, ABC):
    """A benchmarked task. Changed data or a changed metric means a new version."""

    def load_shared(self) -> None:
        """Read what a process keeps for all cells of this task; the default is nothing.

        Called once in the process that cells are forked from. It must draw no global random number and start no thread.
        """

    @abstractmethod
    def build(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """Load data and backbone, and fill the context; deterministic by the context's seeds.

        Args:
            load_backbone: loads the backbone; its generator is for random initial weights.
            context: what the cell gives; `target`, `batches`, `inputs`, `loss` and `tokens` are for this to fill.

        Returns:
            Model, data, the filled context, and the backbone as loaded.
        """

    def for_methods(self, data: Any) -> Any:
        """What methods see of the data of a setup; the default is all of it, for data without the test part.

        Args:
            data: `Setup.data`.
        """
        return data

    def subject(self, model: nn.Module, setup: Setup) -> Any:
        """The trained model in the form that `evaluate` and `cost_call` take; the default is the model itself.

        Args:
            model: what the last method deployed, in eval mode.
            setup: what `build` gave.
        """
        return model

    def watched(self, model: nn.Module, setup: Setup, context: Context) -> Context:
        """The context with what training is watched by, where the budget asks for it; the default watches nothing.

        Args:
            model: what `Method.prepare` returned.
            setup: what `build` gave.
            context: the context that `Method.fit` would get.
        """
        return context

    @abstractmethod
    def evaluate(self, subject: Any, context: Context) -> Scores:
        """Score the model on the test part; selection, if any, on the validation part only.

        Args:
            subject: what `subject` gave, in eval mode.
            context: the filled context.

        Returns:
            Metrics, which of them is the main one, and outcomes by example in the fixed order of the test part.
        """

    @abstractmethod
    def cost_call(self, subject: Any, context: Context) -> CostCall | None:
        """What the costs are measured on.

        Args:
            subject: what `subject` gave.
            context: the filled context.

        Returns:
            A model, a call of it and its units; None measures none.
        """

    def setup(self, load_backbone: LoadBackbone, context: Context, chain: Sequence[Method] = ()) -> Setup:
        """The task ready for a chain of methods, which may load further backbones.

        Args:
            load_backbone: loads the cell's backbone.
            context: what the cell gives.
            chain: the methods, which say what they need.

        Returns:
            Model, data, the filled context, and the backbone as loaded.

        Raises:
            NotApplicable: a loaded backbone lacks what the task or a method needs.
            ValueError: a backbone is asked for that no method of the row named.
        """

        def load(generator: torch.Generator) -> Any:
            loaded = load_backbone(generator)
            check_loaded(loaded, self, chain)
            return loaded

        def load_further(name: str) -> Setup:
            loader = context.further.get(name)
            if loader is None:
                raise ValueError(f"no method of this row named the backbone {name!r} in `backbones()`")
            # Random weights of its own: a teacher of the student's kind does not start as its copy.
            generator = context.generator(f"backbone-init {name}")
            further = self.setup(lambda _: loader(generator), context)
            return replace(further, data=self.for_methods(further.data))

        built = self.build(load, context)
        filled = replace(built.context, trains=TRAINING_DATA in self.gives, load_backbone=load_further)
        return replace(built, context=filled)

    def run(self, chain: Sequence[Method], load_backbone: LoadBackbone, context: Context) -> Outcome:
        """Set up; prepare, fit and deploy each link of the chain on what the one before deployed; evaluate; measure.

        Args:
            chain: the methods of the row, in order.
            load_backbone: loads the cell's backbone.
            context: what the cell gives.

        Returns:
            Scores, costs, curves, details, and seconds by phase.

        Raises:
            NotApplicable: the backbone lacks what the task or a method needs.
        """
        clock = Clock()
        chain = [method.on(self.published_as) for method in chain]
        # Notes are of this run alone, also where somebody runs twice with one context.
        setup = self.setup(load_backbone, replace(context, notes={}), chain)
        context = setup.context
        clock.stop("load")
        model = setup.model
        curves: dict[str, Sequence[tuple[float, float]]] = {}
        for number, method in enumerate(chain, start=1):
            surroundings = _of_link(number, len(chain), context)
            model = method.prepare(model, surroundings)
            surroundings = self.watched(model, setup, surroundings)
            clock.stop("prepare")
            found = method.fit_best(model, self.for_methods(setup.data), surroundings)
            model = method.deploy(model)
            clock.stop("fit")
            for name, points in found.items():
                curves[surroundings.link + name] = points
        subject = self.subject(model.eval(), setup)
        with freed_memory_kept():
            scores = self.evaluate(subject, context)
        clock.stop("evaluate")
        call = self.cost_call(subject, context)
        costs = None if call is None else measure_costs(*call)
        clock.stop("measure")
        return Outcome(
            metrics=scores.metrics,
            main_metric=scores.main,
            costs=costs,
            training=context.ledger.costs(),
            examples=scores.examples,
            times=clock.seconds,
            curves=curves,
            details=_joined(context.notes, scores.details),
        )


def _of_link(number: int, links: int, context: Context) -> Context:
    """The context of one link of several: with its own folder for checkpoints, and names of its own in the record."""
    if links == 1:
        return context
    folder = None
    if context.folder is not None:
        folder = context.folder / f"link {number}"
    return replace(context, folder=folder, link=f"{number}. ")


def _joined(notes: Mapping[str, Any], details: Mapping[str, Any]) -> dict[str, Any]:
    """What the methods noted and what the task found. Raises ValueError for a name that both have."""
    both = sorted(notes.keys() & details.keys())
    if both:
        raise ValueError(f"the task keeps {', '.join(map(repr, both))} in the details, and a method noted it, too")
    return {**notes, **details}
