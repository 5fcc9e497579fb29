"""How long a row takes, reckoned from a step of it that was measured on this machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import torch

from sparsebench.reports.records.record import CellInfo, Metric

from ..contracts.budget import Budget
from ..contracts.context import Context, LoadBackbone, Setup
from ..contracts.method import Method
from ..contracts.training_costs import TrainingLedger
from ..prediction.chosen import choose
from ..prediction.data import PredictionData
from ..prediction.task import PredictionTask, forward_flops, predict
from ..prediction.trials import Trial

STEPS = 3
"""Steps that are timed, after one that is not."""
ON_PROCESSOR = 4
"""Images of a step there: one of 64 of a ViT-B/16 takes a core minutes."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What was measured of a row.

    Attributes:
        step: seconds of training for an image; None of a row that takes no steps (a probe).
        forward: seconds of a forward pass for an image.
        flops: operations of a forward pass for an image.
        images: of a step that was measured.
        trials: trainings that choose its options.
    """

    step: float | None
    forward: float
    flops: float
    images: int
    trials: int


@dataclass(frozen=True)
class Sizes:
    """Images of the parts of a task: to train on in a trial, to choose on, and to score."""

    train: int
    val: int
    test: int


def trials_of(chain: Sequence[Method]) -> int:
    """How many trials choose the options of a row."""

    def attempt(trial: Trial, number: int) -> None:
        trial.score = Metric(value=0.0, higher_is_better=True, unit="")

    trials, _ = choose(chain, attempt)
    return len(trials)


def pace_of(
    task: PredictionTask,
    chain: Sequence[Method],
    loaders: Mapping[str, LoadBackbone],
    info: CellInfo,
    device: torch.device,
) -> Pace:
    """Train a row for a few steps on a few images of a task, and time them.

    Args:
        task: one of the row's.
        chain: its one method.
        loaders: of its backbones, by name.
        info: of one of its cells.
        device: what it is to run on.

    Returns:
        What was measured.

    Raises:
        ValueError: a chain of several methods.
    """
    if len(chain) != 1:
        raise ValueError("a chain of several methods is not timed: its links train one after another")
    whole = Budget(**info.budget)
    size = whole.batch_size if device.type != "cpu" else min(whole.batch_size, ON_PROCESSOR)
    budget = Budget(steps=1, batch_size=size, test_examples=2 * size, calibration_examples=size)
    context = Context(
        suite=info.suite,
        task=info.task,
        seed=info.seed,
        budget=budget,
        dtype=getattr(torch, info.dtype),
        device=device,
        further={name: loaders[name] for name in info.further_backbones},
    )
    setup = task.setup(loaders[info.backbone], context, chain)
    model = chain[0].prepare(setup.model, setup.context)
    data = _few(setup.data, size)
    step = None
    for steps in (1, STEPS):
        ledger = TrainingLedger()
        again = replace(setup.context, ledger=ledger, budget=replace(budget, steps=steps))
        chain[0].fit(model, task.for_methods(data), again)
        costs = ledger.costs()
        if costs is not None and costs.steps and costs.seconds is not None:
            step = costs.seconds / costs.steps / size
    forward = _forward(chain[0].deploy(model), setup, size)
    flops = forward_flops(setup.backbone, data.test, data, size) / len(data.test)
    return Pace(step=step, forward=forward, flops=flops, images=size, trials=trials_of(chain))


def seconds_of(pace: Pace, info: CellInfo, sizes: Sizes) -> float:
    """Seconds of a cell: its trials, its last training and the pass over the test part, without loading.

    Args:
        pace: of its row.
        info: of the cell.
        sizes: of its task.

    Returns:
        The sum.
    """
    whole = sizes.train + sizes.val
    tested = min(sizes.test, info.budget.get("test_examples") or sizes.test)
    if pace.step is None:  # features of all trials are computed once
        return pace.forward * (whole + whole + tested)
    trained = pace.trials * _trained(sizes.train, info) + _trained(whole, info)
    return pace.step * trained + pace.forward * (pace.trials * sizes.val + tested)


def _trained(rows: int, info: CellInfo) -> int:
    """Images that go through a training; a last batch that would be smaller is dropped."""
    budget = Budget(**info.budget)
    unit, amount = budget.duration
    size = min(budget.batch_size, rows)
    steps = amount * (rows // size) if unit == "epochs" else amount
    return steps * size


def _few(data: PredictionData, size: int) -> PredictionData:
    return replace(data, train=data.train[: 2 * size], val=data.val[:size])


def _forward(model: torch.nn.Module, setup: Setup, size: int) -> float:
    """Seconds an image, of the second of two passes."""
    seconds = 0.0
    for _ in range(2):
        start = perf_counter()
        predict(model, setup.data.test, setup.data, size)
        seconds = perf_counter() - start
    return seconds / len(setup.data.test)
