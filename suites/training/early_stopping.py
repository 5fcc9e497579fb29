"""Training that stops when the validation score no longer becomes better, and keeps the weights of the best epoch."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from sparsebench.reports.records.record import Metric

from .callbacks import Callback, TrainingState
from .checkpoint import load_model_state, model_state
from .random_state import undisturbed


class EarlyStopping(Callback):
    """Scores the validation part after each epoch, stops after `patience` epochs without a better one, goes back to it.

    Two epochs of one score count as the first of them. The scores are the curve "val <metric>". Prechelt (1998, Early
    stopping - but when?) compares such criteria; this is the plain one, with the best weights kept.

    Args:
        validate: name and value of the main metric of the validation part, with the model as it is.
        patience: epochs, 1 or more.
    """

    def __init__(self, validate: Callable[[], tuple[str, Metric]], patience: int) -> None:
        self.validate = validate
        self.patience = patience
        self.best: float | None = None
        self.waited = 0
        self.weights: dict[str, Mapping[str, Any]] = {}

    def on_epoch(self, state: TrainingState) -> None:
        """Score; keep the weights if they are the best ones so far, stop if they have not been for too long."""
        with undisturbed():
            name, metric = self.validate()
        state.curves.setdefault(f"val {name}", []).append((float(state.step), metric.value))
        signed = metric.value if metric.higher_is_better else -metric.value
        if self.best is None or signed > self.best:
            self.best = signed
            self.waited = 0
            self.weights = {name: copy.deepcopy(model_state(model)) for name, model in state.models.items()}
            return
        self.waited += 1
        if self.waited >= self.patience:
            state.stop = True

    def on_end(self, state: TrainingState) -> None:
        """Go back to the best weights; without a whole epoch they are those of the last step."""
        for name, weights in self.weights.items():
            load_model_state(state.models[name], weights)

    def state_dict(self) -> dict[str, Any]:
        """The best score and its weights, and how long ago they were."""
        return {"best": self.best, "waited": self.waited, "weights": dict(self.weights)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.best = state["best"]
        self.waited = state["waited"]
        self.weights = state["weights"]
