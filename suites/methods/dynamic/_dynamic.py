"""What the methods that make networks dynamic, or partially so, have in common."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from sparsebench.models.dynamic.partially_dynamic import PartiallyDynamic
from sparsebench.models.dynamic.partitioning.parts import attention_vectors, dynamic_layers
from sparsebench.models.dynamic.temperature import TemperatureSchedule, tempered

from ...contracts.method import Curves, NotApplicable
from ...training.callbacks import Callback, TrainingState

DYNAMIC = "dynamic layers that mix kernels"
"""Trait of a model with weights of which a part can be static: `dynamic_conv` and `dynamic_linear` give it.

The layers of `fd_conv` and `kernel_warehouse` depend on the input, too, but have no kernels of their own to mix.
"""

ODCONV_ATTENTIONS = "ODConv attentions"
"""Trait of a model with attentions for channels, filters and taps: `dynamic_conv` of the kind "od_conv" gives it."""


class Annealing(Callback):
    """The temperature of attentions falls in a straight line from `start` to 1 over the first `fraction` of the steps.

    It follows from the step alone, so that a training that goes on after a stop has the right one. Without an attention
    that has a temperature, and where nobody knows how many steps there will be, nothing happens.
    """

    def __init__(self, start: float, fraction: float) -> None:
        self.start = start
        self.fraction = fraction

    def on_start(self, state: TrainingState) -> None:
        """Set it before the first step."""
        self._apply(state)

    def on_step(self, state: TrainingState) -> None:
        """Set it for the next step."""
        self._apply(state)

    def _apply(self, state: TrainingState) -> None:
        if state.total is None:
            return
        schedule = TemperatureSchedule(steps=round(self.fraction * state.total), start=self.start)
        for model in state.models.values():
            if tempered(model):
                schedule.apply(model, state.step)


def check_dynamic(model: nn.Module) -> None:
    """Raise `NotApplicable` for a model without dynamic layers of which a part can be static."""
    if not dynamic_layers(model):
        raise NotApplicable(
            f"{type(model).__name__} has no {DYNAMIC}: put dynamic_conv or dynamic_linear before this link"
        )


def check_attentions(model: nn.Module) -> None:
    """Raise `NotApplicable` for a model without attentions of ODConv, which says what it has."""
    if not attention_vectors(model):
        there = sorted({type(layer).__name__ for layer in dynamic_layers(model).values()})
        raise NotApplicable(
            f"{type(model).__name__} has no attentions of ODConv, only {', '.join(there)}: put dynamic_conv of the "
            "kind od_conv before this link, or partition kernels"
        )


@contextmanager
def in_float32(model: nn.Module) -> Iterator[None]:
    """The model in float32, afterwards in its own precision again: scores are small differences."""
    own = next(model.parameters()).dtype
    model.float()
    try:
        yield
    finally:
        if own is not torch.float32:
            model.to(own)


def mode_curves(model: nn.Module) -> Curves:
    """The fraction of each partitioned layer's weights that is dynamic, and the factor on these, by the layer's place.

    The same of each partitioned attention of ODConv, with the fraction of its factors that is dynamic.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    kinds: tuple[tuple[str, Iterable[PartiallyDynamic]], ...] = (
        ("layer", dynamic_layers(model).values()),
        ("attention", attention_vectors(model).values()),
    )
    for kind, parts in kinds:
        for place, part in enumerate(parts):
            if part.partition is not None:
                scale = part.partition.lambda_dynamic.item()
                curves.setdefault(f"dynamic share by {kind}", []).append((float(place), part.partition.ratio))
                curves.setdefault(f"factor of the dynamic part by {kind}", []).append((float(place), scale))
    return curves
