"""How the routers of a model change while it trains: certainty and agreement as curves, the load before training"""

import math
import warnings
from collections.abc import Mapping

import torch
from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.evaluation import evaluation_mode
from sparsebench.models.moe.routing.agreement import kept_choices
from sparsebench.models.moe.routing.probe import RoutingProbe, has_mixture, routing_probe
from sparsebench.reports.panels.router_load import BEFORE, RouterLoad, to_entry
from sparsebench.reports.routers.health import CERTAINTY, START

from ...contracts.context import Context
from ...training.callbacks import Callback, TrainingState
from ..language.routing import by_block
from .data import TextRows, first_of_each

ROWS = 2
"""Held-out rows of each group that the routers are read on, at every point of the curves."""


class Reading:
    """What the routers of a model did with held-out text of several groups.

    Args:
        seen: by group what a probe saw, with the choices.
        model: the model, whose blocks have numbers.
    """

    def __init__(self, seen: Mapping[str, RoutingProbe], model: nn.Module) -> None:
        self.choices = {group: probe.choices for group, probe in seen.items()}
        """By group and layer the experts of each token (T, K)."""
        self.layers = {group: probe.layers for group, probe in seen.items()}
        self.loads = {group: by_block(model, layers).loads for group, layers in self.layers.items()}

    def certainty(self) -> float | None:
        """The entropy of a token's router softmax over its greatest, the mean over layers and groups; None where no
        router gives logits for two experts or more.
        """
        found = []
        for layers in self.layers.values():
            for seen in layers.values():
                if seen.token_entropy is not None and len(seen.load) > 1:
                    found.append(seen.token_entropy / math.log(len(seen.load)))
        return math.fsum(found) / len(found) if found else None

    def agreement(self, other: "Reading") -> float:
        """The fraction of the choices that `other`, of the same text, has as well."""
        kept = 0
        choices = 0
        for group, layers in self.choices.items():
            for path, index_TK in layers.items():
                experts = len(self.layers[group][path].load)
                kept += int(kept_choices(index_TK, other.choices[group][path], experts).sum())
                choices += index_TK.numel()
        return kept / choices

    def load(self) -> RouterLoad:
        """The load by group, of the blocks that have a router."""
        blocks = sorted(next(iter(self.loads.values())))
        fractions = {group: tuple(by_number[block] for block in blocks) for group, by_number in self.loads.items()}
        return RouterLoad(tuple(blocks), fractions)


class RouterChange(Callback):
    """Curves over a training that is evaluated every `every` steps; none of a model without a mixture of experts.

    "router entropy of a token" is 1 for a router that chooses by chance (there is none where a router gives no logits),
    "router agreement with the start" is 1 before training. The load by group before training is noted in the record;
    that after it is what a task finds on the text that it scores. The model is read in evaluation mode, without noise:
    no random number is drawn, and the training stays the same. A mixture that cannot be watched gives a warning, which
    the record keeps.

    Args:
        data: its held-out rows are read.
        context: notes the load; its batch size counts.
        every: steps between two points of a curve.
    """

    def __init__(self, data: TextRows, context: Context, every: int) -> None:
        self.data = data
        self.context = context
        self.every = every
        self._start: Reading | None = None

    def on_start(self, state: TrainingState) -> None:
        """Read the model before training, which a checkpoint has not been loaded into yet."""
        model = state.models["model"]
        if not has_mixture(model):
            return
        try:
            self._start = self._read(model)
        except ModelError as error:
            warnings.warn(f"no curves of how the routers change: {error}", stacklevel=2)
            return
        self._note(state, self._start)
        self.context.note(BEFORE, to_entry(self._start.load()))

    def on_step(self, state: TrainingState) -> None:
        """Read it again where an evaluation is due."""
        if state.step % self.every == 0:
            self._again(state)

    def on_end(self, state: TrainingState) -> None:
        """Read it for the last time."""
        if state.step % self.every:
            self._again(state)

    def _again(self, state: TrainingState) -> None:
        if self._start is not None:
            self._note(state, self._read(state.models["model"]))

    def _note(self, state: TrainingState, reading: Reading) -> None:
        assert self._start is not None
        values = {START: reading.agreement(self._start), CERTAINTY: reading.certainty()}
        for name, value in values.items():
            if value is not None:
                state.curves.setdefault(name, []).append((float(state.step), value))

    def _read(self, model: nn.Module) -> Reading:
        return Reading({group: self._seen(model, group) for group in self.data.groups}, model)

    def _seen(self, model: nn.Module, group: str) -> RoutingProbe:
        rows = first_of_each(self.data.only([group]).held_out, ROWS)
        size = self.context.budget.batch_size
        with evaluation_mode(model), torch.no_grad(), routing_probe(model, choices=True) as probe:
            for start in range(0, len(rows), size):
                self.context.loss(model, self.data.collate(rows[start : start + size]))
        return probe
