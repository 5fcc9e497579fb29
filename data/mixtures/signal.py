"""What a strategy may look at when it moves the weights of a mixture."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import MixtureError
from ..manifest import near


@dataclass(frozen=True)
class Signal:
    """Measured on held-out rows of each data set, by its name, after ``steps`` optimiser steps.

    ``losses`` are mean losses in nats per token. ``loads`` are counts of chosen experts, (layers, experts) for each
    data set: how many tokens (padding excluded, all processes together) chose that expert in that layer.
    """

    losses: Mapping[str, float] | None = None
    loads: Mapping[str, np.ndarray] | None = None
    steps: int = 0

    def check(self, names: Sequence[str], needs: Iterable[str]) -> None:
        """Look for what a strategy needs.

        Args:
            names: the data sets.
            needs: names of fields.

        Raises:
            MixtureError: something is missing, unknown, not finite or misshapen; the message names the data set.
        """
        for need in sorted(needs):
            if getattr(self, need) is None:
                raise MixtureError(f"the strategy needs {need} of held-out rows, and the signal has none")
        if self.losses is not None:
            check_names("losses", self.losses, names)
            for name, loss in self.losses.items():
                if not math.isfinite(loss):
                    raise MixtureError(f"the loss of data set {name!r} is {loss} after {self.steps} steps")
        if self.loads is not None:
            check_names("loads", self.loads, names)
            _check_loads(self.loads, self.steps)

    def load_shares(self) -> dict[str, np.ndarray]:
        """Shares of the experts in the choices of each layer: (layers, experts), each row sums to 1."""
        fractions = {}
        for name, counts in (self.loads or {}).items():
            counts_LE = np.asarray(counts, dtype=np.float64)
            fractions[name] = counts_LE / counts_LE.sum(axis=1, keepdims=True)
        return fractions


def check_names(what: str, given: Iterable[str], names: Sequence[str]) -> None:
    """Raises MixtureError unless ``given`` names the data sets ``names`` and no other."""
    found = list(given)
    for name in found:
        if name not in names:
            raise MixtureError(f"{what}: no data set {name!r} in the mixture{near(name, names)}")
    missing = [name for name in names if name not in found]
    if missing:
        raise MixtureError(f"{what}: none for data set {missing[0]!r}; give one for each of {', '.join(names)}")


def _check_loads(loads: Mapping[str, np.ndarray], steps: int) -> None:
    shapes = {name: np.shape(counts) for name, counts in loads.items()}
    first = next(iter(shapes))
    for name, shape in shapes.items():
        if len(shape) != 2 or 0 in shape:
            raise MixtureError(f"the loads of data set {name!r} have the shape {shape}, not (layers, experts)")
        if shape != shapes[first]:
            raise MixtureError(
                f"the loads of data sets {first!r} and {name!r} have the shapes {shapes[first]} and {shape}; "
                "measure both with the same model"
            )
        counts_LE = np.asarray(loads[name], dtype=np.float64)
        if not np.isfinite(counts_LE).all() or (counts_LE < 0).any():
            raise MixtureError(f"the loads of data set {name!r} after {steps} steps are not all finite and at least 0")
        if (counts_LE.sum(axis=1) == 0).any():
            raise MixtureError(
                f"data set {name!r} has a layer in which no token chose an expert; give it held-out rows with tokens"
            )
