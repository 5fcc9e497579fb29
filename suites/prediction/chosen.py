"""The protocol of published VTAB-1K numbers: choose on the validation part, then train on all labelled examples.

In one cell, for its seed:

1. Trials train on the training part and are scored on the validation part. Learning rates are tried first (the row's
   own times 0.3, 1, 3), then, at the best of them, the scale of adapters that have one (its own times 0.01, 0.1, 1, 10,
   100: what the releases tried, from a scale of 1); of a linear probe, its penalties. Every row gets the same search
   around its own values, but for one with its release's settings (`released`), of which there is one trial.
2. The chosen options train on training and validation part together; the last epoch is scored on the test part, once.
   No trial sees the test part.

What frozen weights make of the same inputs is computed once for all of them (`passes.py`). A cell with checkpoints that
is stopped goes on where it was: trials that had ended are taken up with their scores (`trials.py`), and the one that
ran goes on from its checkpoint.

The record has the validation score of the chosen trial as "val <metric>"; all trials and what they took are in
`details["choice"]`; the training costs are those of the last training alone. Operations and seconds of a training are
those of all that it asked for: what an earlier one had computed counts as long as it took then. The seconds by phase
are those that passed.
"""

import random
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sparsebench.data.errors import reason_of
from sparsebench.reports.panels.chosen_options import Protocol, to_details
from sparsebench.reports.records.record import TrainingCosts

from ..contracts.context import Context, LoadBackbone
from ..contracts.method import Method, NotApplicable
from ..contracts.metrics import Scores
from ..contracts.seeds import derive_seed
from ..contracts.task import CostCall, Outcome, Setup
from ..contracts.training_costs import TrainingLedger
from ..contracts.traits import VALIDATION_PART
from .data import Examples, Splits
from .feature_extractor import FeatureExtractor
from .passes import Passes
from .task import PredictionTask, Predictor
from .trials import Trial, keep, plain, take_up

FACTORS: Mapping[str, tuple[float, ...]] = {
    "learning_rate": (0.3, 1.0, 3.0),
    "scale": (0.01, 0.1, 1.0, 10.0, 100.0),
}
"""Options that are chosen, in this order, and the multiples of the row's own value that are tried."""
EACH = "penalties"
"""An option that is a tuple of values among which the method itself would choose on the validation part."""
OWN_CHOICE = (
    "its head is fitted by a choice on the validation part, which is training data in this protocol: say train: all, "
    "experts, adapters or norms"
)


class ChosenOnValidation(PredictionTask):
    """Base of the tasks with this protocol; a subclass states `target`, the sources and `load`, as of any task."""

    gives = PredictionTask.gives - {VALIDATION_PART}
    rests: ClassVar[bool] = False
    """The last training has no validation part that stays out of it."""
    keeps_validation: ClassVar[bool] = False
    """Whether the record keeps the outcomes of the chosen trial on each validation example (`details["validation"]`),
    so that rows can be chosen among by them."""

    def train_and_val(self, splits: Splits) -> Examples:
        """Training and validation part as one; the validation rows come last."""
        return joined(splits.train, splits.val)

    def about(self, body: FeatureExtractor) -> str:
        """What a reader must know of the inputs to compare with published numbers."""
        return ""

    def run(self, chain: Sequence[Method], load_backbone: LoadBackbone, context: Context) -> Outcome:
        """Choose, train once more on everything, and score the test part."""
        refuse_own_choice(chain)
        settled = settled_options(chain, self.published_as)
        splits = self.parts_of(context)
        on_val = Splits(splits.train, splits.val, splits.val)
        whole = replace(context, budget=replace(context.budget, test_examples=None, watch=()))
        passes = Passes()

        def attempt(trial: Trial, number: int) -> None:
            _attempt(_Stage(self, on_val, passes), trial, load_backbone, _numbered(whole, number))

        trials, best = choose(chain, attempt, settled)
        folder = None if context.folder is None else context.folder / "last"
        passes.keeps = False
        last, outcome = self._train_last(splits, best.chain, load_backbone, replace(context, folder=folder), passes)
        assert best.score is not None
        metrics = {**outcome.metrics, f"val {outcome.main_metric}": best.score}
        found = last.protocol(plain(best.options))
        details = {**outcome.details, **to_details(found), "choice": _report(trials, best, settled)}
        if self.keeps_validation:
            details["validation"] = {name: list(values) for name, values in best.examples.items()}
        return replace(outcome, metrics=metrics, details=details)

    def train_chosen(
        self, chain: Sequence[Method], load_backbone: LoadBackbone, context: Context
    ) -> tuple[Outcome, Predictor]:
        """The last training alone, with methods whose options are chosen: the outcome, and the model that it is of."""
        last, outcome = self._train_last(self.parts_of(context), chain, load_backbone, context)
        assert last.subject_scored is not None
        return outcome, last.subject_scored

    def _train_last(
        self,
        splits: Splits,
        chain: Sequence[Method],
        load_backbone: LoadBackbone,
        context: Context,
        passes: Passes | None = None,
    ) -> "tuple[_Stage, Outcome]":
        last = _Stage(self, Splits(self.train_and_val(splits), splits.val, splits.test), passes, measured=True)
        return last, last.run_seeded(chain, load_backbone, context)


def choose(
    chain: Sequence[Method], attempt: Callable[[Trial, int], None], settled: Mapping[str, Any] | None = None
) -> tuple[list[Trial], Trial]:
    """All trials and the best one; `attempt` trains a trial and fills its score.

    One option after the other: the values of the next one are tried at the best of those before. Where options are
    settled, there is one trial, the chain as it is. Raises FloatingPointError where every trial diverged.
    """
    best = Trial(options=settled or {}, chain=tuple(chain))
    trials: list[Trial] = []
    for name, values in alternatives(chain) if settled is None else ():
        candidates = [_with(best, chain, name, value) for value in values]
        for candidate in candidates:
            if candidate.chain in [trial.chain for trial in trials]:
                continue  # the options before this one were chosen at its own value: that trial is known
            attempt(candidate, len(trials))
            trials.append(candidate)
            if candidate.better_than(best):
                best = candidate
    if not trials:  # nothing to choose
        attempt(best, 0)
        trials.append(best)
    if best.score is None:
        raise FloatingPointError(f"every trial diverged: {'; '.join(trial.reason for trial in trials)}")
    return trials, best


class Stage(typing.Protocol):
    """One training of a task with this protocol, and the score of one part."""

    def run_seeded(self, chain: Sequence[Method], load_backbone: LoadBackbone, context: Context) -> Outcome:
        """Train and score; global generators start as in every other stage (`seed_generators`)."""
        ...


def best_of(
    stage: Stage, chain: Sequence[Method], load_backbone: LoadBackbone, context: Context
) -> tuple[Trial, dict[str, Any]]:
    """The best trial by the score of a stage, and `details["choice"]`: for tasks of another kind than prediction."""

    def attempt(trial: Trial, number: int) -> None:
        _attempt(stage, trial, load_backbone, _numbered(context, number))

    trials, best = choose(chain, attempt)
    return best, _report(trials, best, None)


def settled_options(chain: Sequence[Method], data_set: str) -> Mapping[str, Any] | None:
    """Options that links have of their own for a data set; None where no link says so, and the row may choose."""
    found = [options for link in chain if (options := link.settled(data_set)) is not None]
    if not found:
        return None
    return {name: value for options in found for name, value in options.items()}


def seed_generators(context: Context) -> None:
    """Start the global generators (dropout) as in every other stage of a cell, however many came before."""
    seed = derive_seed(context.suite, context.task, context.seed, "stage")
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def alternatives(chain: Sequence[Method]) -> list[tuple[str, list[Any]]]:
    """Options that a link of the chain has, with the values to try: factors, or single penalties."""
    found: list[tuple[str, list[Any]]] = []
    for name, factors in FACTORS.items():
        if any(_is_number(link, name) for link in chain):
            found.append((name, list(factors)))
    for link in chain:
        if hasattr(link, EACH):
            found.append((EACH, [(value,) for value in getattr(link, EACH)]))
    return found


def _is_number(link: Method, name: str) -> bool:
    """Whether a link has this option with a number in it: the scale of a mixture may be a rule by name, or none."""
    value = getattr(link, name, None)
    return isinstance(value, int | float) and not isinstance(value, bool)


def refuse_own_choice(chain: Sequence[Method]) -> None:
    """Raises `NotApplicable` for a link that would choose on what is training data in the end."""
    for link in chain:
        if link.choices():
            raise NotApplicable(
                f"{type(link).__name__}: this task chooses options itself: leave out `choose` and `among`"
            )
        if link.trains == "head" and not hasattr(link, EACH):
            raise NotApplicable(f"{type(link).__name__}: {OWN_CHOICE}")


def joined(first: Examples, second: Examples) -> Examples:
    """The examples of both, in this order."""
    targets = np.concatenate([first.targets, second.targets])
    if isinstance(first.inputs, np.ndarray) and isinstance(second.inputs, np.ndarray):
        return Examples(np.concatenate([first.inputs, second.inputs]), targets)  # type: ignore[arg-type]
    return Examples([*first.inputs, *second.inputs], targets)


class _Stage(PredictionTask):
    """One training of the protocol: the whole task on other splits, of which only the part "test" is scored."""

    def __init__(
        self, whole: ChosenOnValidation, splits: Splits, passes: Passes | None, measured: bool = False
    ) -> None:
        self.whole = whole
        self.passes = passes
        self.target = whole.target
        self.published_as = whole.published_as
        self.gives = whole.gives  # type: ignore[misc]  # a stage gives what its task gives
        self.ordered_test = whole.ordered_test  # type: ignore[misc]
        self.splits = splits
        self.measured = measured
        self.trained = self.head = 0
        self.inputs = ""
        self.subject_scored: Predictor | None = None

    def run_seeded(self, chain: Sequence[Method], load_backbone: LoadBackbone, context: Context) -> Outcome:
        """As `run`. Global generators (dropout) start as in every other stage, however many came before."""
        seed_generators(context)
        return self.run(chain, load_backbone, context)

    def load(self) -> Splits:
        """What it was given."""
        return self.splits

    def build(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """As of any prediction task; the data know what the cell has computed."""
        setup = super().build(load_backbone, context)
        return replace(setup, data=replace(setup.data, passes=self.passes))

    def score(self, outputs: Tensor, targets: Tensor, generator: torch.Generator) -> Scores:
        """As the whole task scores."""
        return self.whole.score(outputs, targets, generator)

    def evaluate(self, subject: Predictor, context: Context) -> Scores:
        """The scores of the part "test" alone."""
        self.trained = _own_parameters(context.ledger.costs())
        head = subject.model.get_submodule("head")
        self.head = sum(parameter.numel() for parameter in head.parameters())
        self.inputs = self.whole.about(subject.data.body)
        self.subject_scored = subject
        return self._scores(subject, subject.data.test, context)

    def protocol(self, chosen: Mapping[str, object]) -> Protocol:
        """What the record says of the training that was evaluated last."""
        rows = len(self.splits.train.targets)
        return Protocol(trained=self.trained, head=self.head, rows=rows, chosen=chosen, inputs=self.inputs)

    def cost_call(self, subject: Predictor, context: Context) -> CostCall | None:
        """The costs of the last training only."""
        return super().cost_call(subject, context) if self.measured else None


def _own_parameters(costs: TrainingCosts | None) -> int:
    """Parameters that trained and stay: those of a teacher, its head's too, are in the training costs alone."""
    if costs is None or costs.params is None:
        return 0
    if costs.teacher is None:
        return costs.params
    return costs.params - (costs.teacher.params or 0)


def _attempt(stage: Stage, trial: Trial, load_backbone: LoadBackbone, context: Context) -> None:
    """Train and score a trial, unless it had ended before a stop; one that diverges has no score, but a reason."""
    if take_up(trial, context.folder):
        return
    try:
        outcome = stage.run_seeded(trial.chain, load_backbone, context)
        trial.score = outcome.metrics[outcome.main_metric]
        trial.examples = outcome.examples
    except FloatingPointError as error:
        trial.reason = reason_of(error)
    costs = context.ledger.costs()
    if costs is not None:
        trial.took = {"seconds": costs.seconds, "flops": costs.flops}
    keep(trial, context.folder)


def _numbered(context: Context, number: int) -> Context:
    """The context of a trial: costs and checkpoints of its own."""
    folder = None if context.folder is None else context.folder / f"trial {number}"
    return replace(context, ledger=TrainingLedger(), folder=folder)


def with_options(chain: Sequence[Method], options: Mapping[str, Any]) -> list[Method]:
    """The methods of a row of one link with the options that were chosen for it (`details["choice"]["chosen"]`).

    Raises ValueError for a row of several links, whose options are chosen together.
    """
    if not options:
        return list(chain)
    if len(chain) != 1:
        raise ValueError("options of a chain of several methods were chosen together: the record does not say whose")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    return [replace(chain[0], **values)]


def _with(best: Trial, chain: Sequence[Method], name: str, value: object) -> Trial:
    """The best trial so far, with another value of one option in all links of the row that have it."""
    links = []
    shown: Any = value
    for own, link in zip(chain, best.chain, strict=True):
        if name == EACH and hasattr(own, name):
            link = replace(link, **{name: value})
        elif name != EACH and _is_number(own, name):
            shown = getattr(own, name) * value
            link = replace(link, **{name: shown})
        links.append(link)
    return Trial(options={**best.options, name: shown}, chain=tuple(links))


def _report(trials: Sequence[Trial], best: Trial, settled: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was tried and chosen, as JSON values."""
    on = "the validation part" if settled is None else "nothing: the release has them"
    shown = []
    for trial in trials:
        one: dict[str, Any] = {"options": plain(trial.options), **trial.took}
        if trial.score is None:
            one["reason"] = trial.reason
        else:
            one["score"] = trial.score.value
        shown.append(one)
    return {"on": on, "chosen": plain(best.options), "trials": shown}
