"""Training until it rests: its length is doubled until a doubling gains no more than a margin on the validation part.

    budget: {epochs: 10, rest: 0.01, doublings: 4}

trains for 10 epochs; then anew for 20, for 40, 80 and 160, each time from the same first weights, in the same order and
with its whole schedule of the learning rate. The first training that is not better than the one half as long by more
than `rest`, in the unit of the task's main metric on the validation part, shows that the row has come to rest. It is
the one that stays: the longest, so that nothing is selected by the validation part but when to stop. Where the last
doubling still gains more, the row has not come to rest, and the record says so.

Whole trainings are compared, and not epochs of one: with a rate that falls to 0 every curve flattens at its end, at
rest or not, and a rate that stays until the curve is flat would be another recipe than the papers'. What a reader asks,
whether the table would change if rows trained for twice as long, is what is measured. The price is at most four times
the training that would have been enough.

The record has the score of each training as a curve, "val <metric> by length", the curve "at rest" (0, and at the end 1
where the row has come to rest), which a check of the kind "metric" of a study reads, and `details["rest"]`. The costs
of training in the record are those of the one that stays.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from sparsebench.reports.panels.rest import AT_REST, KEY, Rest, Trained, to_details
from sparsebench.reports.records.record import Metric

from ..contracts.context import Context
from .callbacks import Callback, remembering
from .checkpoint import load_model_state, model_state
from .random_state import random_states, set_random_states, undisturbed
from .result import TrainResult
from .settings import TrainSettings

Once = Callable[[TrainSettings, str], TrainResult]
"""One whole training, by its settings and the name of its stage."""
ROUNDING = 1e-9
"""A gain of two images in 200 is no more than a margin of 0.01, however the difference is rounded."""


class Start:
    """What a training starts from, kept so that another one may start there.

    Weights, buffers and generators of the models, what the data and the callbacks remember, and the global generators.
    """

    def __init__(self, models: Mapping[str, nn.Module], data: object, callbacks: Sequence[Callback] = ()) -> None:
        self.models = models
        self.others: list[Any] = [part for part in (data, getattr(data, "train", None)) if hasattr(part, "state_dict")]
        self.others += remembering(callbacks)
        self.weights = copy.deepcopy({name: model_state(model) for name, model in models.items()})
        self.states = [copy.deepcopy(other.state_dict()) for other in self.others]
        self.random = random_states()

    def restore(self) -> None:
        """Go back there."""
        for name, model in self.models.items():
            load_model_state(model, self.weights[name])
        for other, state in zip(self.others, self.states, strict=True):
            other.load_state_dict(copy.deepcopy(state))
        set_random_states(self.random)


def better_by(score: Metric, other: Metric) -> float:
    """By how much a score is better than another one of the same metric, in its unit; below 0 where it is worse."""
    gain = score.value - other.value
    return gain if score.higher_is_better else -gain


def train_until_rest(once: Once, settings: TrainSettings, stage: str, start: Start, context: Context) -> TrainResult:
    """Trainings of doubled length until one is not better than the one before, which stays.

    Args:
        once: trains the models of `start`; a stage that had ended gives what it gave.
        settings: of the first training.
        stage: its name; those of the others have their length in it.
        start: what all start from.
        context: the cell's context, whose budget says `rest`.

    Returns:
        Curves and costs of the last one, with the curves "val <metric> by length" and "at rest".

    Raises:
        ValueError: the task has no validation part.
    """
    budget = context.budget
    if context.validate is None:
        raise ValueError(
            f"rest: {budget.rest}, but the task {context.task!r} has no validation part to come to rest on"
        )
    assert budget.rest is not None
    unit, shortest = budget.duration
    trained: list[Trained] = []
    points: list[tuple[float, float]] = []
    before: Metric | None = None
    rested = False
    while True:
        length = shortest * 2 ** len(trained)
        if trained:
            start.restore()
        result = once(replace(settings, **{unit: length}), stage if not trained else f"{stage}, {length} {unit}")
        with undisturbed():
            name, score = context.validate()
        trained.append(Trained(length=length, score=score.value, seconds=result.seconds, flops=result.flops))
        points.append((float(result.steps), score.value))
        rested = before is not None and better_by(score, before) <= budget.rest + ROUNDING
        if rested or len(trained) > budget.doublings:
            break
        before = score
    found = Rest(metric=name, unit=unit, margin=budget.rest, rested=rested, trainings=tuple(trained))
    context.note(KEY, to_details(found))
    at_rest = [(step, 0.0) for step, _ in points[:-1]] + [(points[-1][0], float(rested))]
    return replace(result, curves={**result.curves, f"val {name} by length": points, AT_REST: at_rest})
