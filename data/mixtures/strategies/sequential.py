"""One data set after the other."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import MixtureError
from ..signal import Signal
from .base import WeightedStrategy

OTHERS = 1e-5
"""The weight of each data set whose turn it is not."""


class Sequential(WeightedStrategy):
    """Nearly all draws from one data set for ``period`` steps, then from the next; after the last the first again.

    MoE-SFT's Sequential (arXiv 2406.11256), with a period of 500 steps: four data sets in 2,000 steps. It turns at the
    first update that lies in the next period.
    """

    kind = "sequential"

    def __init__(self, names: Sequence[str], period: int = 500) -> None:
        if period < 1:
            raise MixtureError(f"a period of {period} steps is none; give at least 1")
        super().__init__(names, dict(zip(names, _turn(0, len(names)).tolist(), strict=True)))
        self.period = period

    def settings(self) -> dict[str, Any]:
        """The period in steps."""
        return {"period": self.period}

    def _move(self, signal: Signal, entry: dict[str, Any]) -> np.ndarray:
        return _turn(signal.steps // self.period % len(self.names), len(self.names))


def _turn(number: int, count: int) -> np.ndarray:
    """Weights (N,) where it is the turn of that data set."""
    weights_N = np.full(count, OTHERS)
    weights_N[number] = 1 - (count - 1) * OTHERS
    return weights_N
