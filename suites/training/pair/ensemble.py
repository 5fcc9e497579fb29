"""Student and teacher as one model, where both can read what the student reads, and how far adapter weights spread."""

from typing import Any

from torch import Tensor, nn

from sparsebench.models.distillation import Ensemble, adapter_weights, channel_map, weight_spread

from ...contracts.context import Context, Setup
from ...contracts.method import NotApplicable
from ..callbacks import Callback, TrainingState
from .joint import PROBED


def ensemble_of(student: nn.Module, context: Context, teacher: Setup, name: str) -> Ensemble:
    """The ensemble of both, for a task that predicts.

    Raises `NotApplicable` where the teacher, called `name`, is given other inputs: other tokens, or images that are not
    the same up to their normalisation.
    """
    if context.target.generates:
        raise NotApplicable("ensemble: true, but only where a task predicts do both have logits of one input")
    own = context.batches()
    others = teacher.context.batches()
    if not own or not others:
        raise NotApplicable("ensemble: true compares what both read, and the budget has no calibration examples")
    first = _values(own[0])
    second = _values(others[0])
    if first.shape == second.shape and bool((first == second).all()):
        return Ensemble(student, teacher.model)
    found = channel_map(first, second)
    if found is None:
        raise NotApplicable(
            f"ensemble: true, but the teacher {name} reads other inputs than the student: both have to get the same "
            "tokens, or images of one size and interpolation"
        )
    return Ensemble(student, teacher.model, *found)


def _values(batch: Any) -> Tensor:
    """The first inputs of a batch as numbers: images, features, or the tokens of padded rows."""
    inputs = batch[0]
    if not isinstance(inputs, Tensor):
        inputs = inputs.values
    return inputs[:PROBED]


class AdapterSpread(Callback):
    """Two points of "std of adapter weights, NAME" and "interquartile range ..." for each model with adapters."""

    def on_start(self, state: TrainingState) -> None:
        """As they start. Where training goes on, a checkpoint brings back the first points."""
        self._note(state)

    def on_end(self, state: TrainingState) -> None:
        """As they have become."""
        self._note(state)

    def _note(self, state: TrainingState) -> None:
        for name, model in state.models.items():
            weights = adapter_weights(model)
            if not weights:
                continue
            found = weight_spread(weights)
            points = {"std": found.std, "interquartile range": found.interquartile}
            for what, value in points.items():
                curve = state.curves.setdefault(f"{what} of adapter weights, {name}", [])
                curve.append((float(state.step), value))
