"""Moves the weights of a mixture of data sets while a model trains on it, and notes what they were and why."""

from time import process_time
from typing import Any

import numpy as np
import torch

from sparsebench.data.mixtures import MixtureStream, Signal, Strategy
from sparsebench.models.moe.routing.health import load_cv2
from sparsebench.reports.mixing.curves import CV2, OVERHEAD, load_name, name_of

from ..callbacks import Callback, TrainingState
from ..processes import Processes
from .held_out import HeldOut, check_readable, measure

MOST_EXPERTS = 16
"""Experts of the last layer whose loads have curves; of more, distances and CV^2 alone are kept."""


class MixtureUpdates(Callback):
    """Every `interval` steps, `strategy` sees what it needs of each data set and sets the weights from the next batch.

    A strategy may say that it moves after each step instead, or that it moves once before the first. `watched` is
    measured at each update in addition to what the strategy needs. The curves are those of `reports/mixing/curves.py`,
    with a point every `interval` steps.

    `spent` are CPU seconds that the strategy's first weights took before the training (small runs, reference losses):
    they count as an update.

    Strategy and stream are in the checkpoint, so that a training that goes on draws what it would have drawn. Costs are
    CPU seconds of this process, all threads together: others that share the machine do not count.

    Raises ValueError for an interval below 1; before the first step, `ModelError` for loads of a model without experts.
    """

    def __init__(
        self,
        strategy: Strategy,
        stream: MixtureStream,
        held_out: HeldOut,
        *,
        interval: int,
        watched: frozenset[str] = frozenset(),
        spent: float = 0.0,
        name: str = "model",
    ) -> None:
        if interval < 1:
            raise ValueError(f"interval={interval} must be 1 or more steps")
        self.strategy = strategy
        self.stream = stream
        self.held_out = held_out
        self.interval = interval
        self.needs = strategy.needs | watched
        self.name = name
        self._updates = spent
        """CPU seconds of all updates."""
        self._before = 0.0
        """CPU seconds of the training before the last stop."""
        self._began = 0.0

    def on_start(self, state: TrainingState) -> None:
        """Start the clock; note the weights, or move them if the strategy does so before the first step."""
        self._began = process_time()
        if self.strategy.at_start:
            self._update(state)
        else:
            check_readable(state.models[self.name], self.needs)
            self._note_weights(state)

    def on_step(self, state: TrainingState) -> None:
        """Move the weights, if their time has come."""
        if state.step % self.interval == 0 or self.strategy.every == "step":
            self._update(state)

    def _update(self, state: TrainingState) -> None:
        began = process_time()
        model = state.models[self.name]
        processes = Processes(next(model.parameters()).device)
        signal = measure(model, self.held_out, self.needs, processes, state.step)
        self.stream.set_weights(self.strategy.update(signal))
        self._updates += process_time() - began
        if state.step % self.interval == 0:
            self._note(state, signal)

    def state_dict(self) -> dict[str, Any]:
        """The strategy, and the seconds so far."""
        return {"strategy": self.strategy.state_dict(), "updates": self._updates, "seconds": self._seconds()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.strategy.load_state_dict(state["strategy"])
        self._updates = state["updates"]
        self._before = state["seconds"]
        self._began = process_time()

    def _seconds(self) -> float:
        return self._before + process_time() - self._began

    def _note(self, state: TrainingState, signal: Signal) -> None:
        self._note_weights(state)
        for data_set, loss in (signal.losses or {}).items():
            _add(state, name_of("loss", data_set), loss)
        for data_set, delta in self.strategy.rounds[-1].get("deltas", {}).items():
            _add(state, name_of("delta", data_set), delta)
        if signal.loads is not None:
            _add(state, CV2, mixture_cv2(list(signal.loads.values())))
            for data_set, counts_LN in signal.loads.items():
                _note_load(state, data_set, counts_LN[-1])
        _add(state, OVERHEAD, self._updates / max(self._seconds(), 1e-9))

    def _note_weights(self, state: TrainingState) -> None:
        for data_set, weight in self.strategy.weights.items():
            _add(state, name_of("weight", data_set), weight)


def mixture_cv2(counts: list[np.ndarray]) -> float:
    """CV^2 of the load (L, N) of data sets that count alike, the mean over the layers."""
    fractions = [counts_LN / counts_LN.sum(1, keepdims=True).clip(1) for counts_LN in counts]
    mean_LN = torch.from_numpy(np.mean(fractions, axis=0))
    return sum(load_cv2(load_N) for load_N in mean_LN) / len(mean_LN)


def _note_load(state: TrainingState, data_set: str, counts_N: np.ndarray) -> None:
    if len(counts_N) > MOST_EXPERTS:
        return
    for expert, fraction in enumerate(counts_N / max(counts_N.sum(), 1)):
        _add(state, load_name(expert, data_set), fraction)


def _add(state: TrainingState, name: str, value: float) -> None:
    state.curves.setdefault(name, []).append((float(state.step), float(value)))
