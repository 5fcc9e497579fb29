"""What every strategy has in common: names, weights, their log by round, and an exact state."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from ...errors import MixtureError
from ..signal import Signal
from ..weights import checked_names, checked_weights


class Strategy(Protocol):
    """Weights of named data sets, and how they move with what is measured."""

    names: tuple[str, ...]
    weights: dict[str, float]
    """Today's, by data set; they sum to 1."""
    needs: frozenset[str]
    """What a signal must hold: of "losses" and "loads"."""
    every: Literal["round", "step"]
    """When `update` is due: every so many steps, as the training says, or after each step."""
    at_start: bool
    """Whether `update` is also due before the first step."""
    rounds: list[dict[str, Any]]
    """The log: see `WeightedStrategy`."""

    def update(self, signal: Signal) -> dict[str, float]:
        """New weights."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Enough to go on exactly; plain numbers, texts, lists and dicts."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on there."""
        ...


class WeightedStrategy(ABC):
    """Base of all strategies here.

    ``rounds`` is the log, a list of plain dicts that JSON can hold. The first is the start; each update adds one with
    "steps" and "weights" (after the update), "losses" and "loads" (shares of the experts, [layer][expert]) where the
    signal has them, and what the strategy derives from them: "deltas" by data set, "distances" as a matrix in the order
    of the names. ``seen`` is the newest.

    Args:
        names: of the data sets.
        start: weights before the first update; equal ones by default.
    """

    kind: ClassVar[str]
    """The name by which `strategy` makes it."""
    needs: frozenset[str] = frozenset()
    every: Literal["round", "step"] = "round"
    at_start: bool = False

    def __init__(self, names: Sequence[str], start: Mapping[str, float] | None = None) -> None:
        self.names = checked_names(names)
        if start is None:
            start = dict.fromkeys(self.names, 1 / len(self.names))
        self.weights = checked_weights(start, self.names)
        self.rounds: list[dict[str, Any]] = [{"steps": 0, "weights": dict(self.weights)}]

    @property
    def seen(self) -> dict[str, Any]:
        """What the newest round saw and decided."""
        return self.rounds[-1]

    def update(self, signal: Signal) -> dict[str, float]:
        """New weights. Raises MixtureError for a signal that lacks what is needed, or is not finite."""
        signal.check(self.names, self.needs)
        entry: dict[str, Any] = {"steps": signal.steps}
        if signal.losses is not None:
            entry["losses"] = {name: float(signal.losses[name]) for name in self.names}
        if signal.loads is not None:
            fractions = signal.load_shares()
            entry["loads"] = {name: fractions[name].tolist() for name in self.names}
        weights_N = self._move(signal, entry)
        self.weights = dict(zip(self.names, weights_N.tolist(), strict=True))
        entry["weights"] = dict(self.weights)
        self.rounds.append(entry)
        return dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """Kind, names, settings, today's weights and the log."""
        return {
            "kind": self.kind,
            "names": list(self.names),
            "settings": self.settings(),
            "weights": dict(self.weights),
            "rounds": list(self.rounds),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on there. Raises MixtureError where strategy, data sets or settings are not those of the state."""
        own = {"kind": self.kind, "names": list(self.names), "settings": self.settings()}
        for key, value in own.items():
            if state[key] != value:
                raise MixtureError(
                    f"the state is of a mixture with {key} {state[key]}, not {value}; "
                    "go on with what it was, or start from the beginning without the state"
                )
        self.weights = dict(state["weights"])
        self.rounds = list(state["rounds"])

    def settings(self) -> dict[str, Any]:
        """What an update depends on in addition to weights and signal; plain values."""
        return {}

    @property
    def weights_N(self) -> np.ndarray:  # noqa: N802
        """Today's weights in the order of the names: (N,)."""
        return np.array([self.weights[name] for name in self.names])

    def by_name(self, values_N: np.ndarray) -> dict[str, float]:
        """Values in the order of the names, as the log holds them."""
        return dict(zip(self.names, values_N.tolist(), strict=True))

    @abstractmethod
    def _move(self, signal: Signal, entry: dict[str, Any]) -> np.ndarray:
        """The new weights, (N,); what they were derived from goes into ``entry``."""
