"""Weights that never move: equal ones, by size, published shares, or the user's own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import MixtureError
from ...manifest import near
from ..signal import Signal, check_names
from ..tables import SHARES
from ..weights import checked_names, checked_sizes
from .base import WeightedStrategy


class Static(WeightedStrategy):
    """The weights that are given: by data set, or the name of published shares (``tables.SHARES``).

    Raises MixtureError for an unknown name, and for published shares of other data sets than ``names``.
    """

    kind = "static"

    def __init__(self, names: Sequence[str], weights: Mapping[str, float] | str) -> None:
        super().__init__(names, shares(weights))

    def _move(self, signal: Signal, entry: dict[str, Any]) -> np.ndarray:
        return self.weights_N


class Uniform(Static):
    """Equal weights."""

    kind = "uniform"

    def __init__(self, names: Sequence[str]) -> None:
        names = checked_names(names)
        super().__init__(names, dict.fromkeys(names, 1 / len(names)))


class BySize(Static):
    """Weights in proportion to size ** (1 / temperature).

    A temperature of 1 draws every row equally often, whatever data set it is in; above 1, small data sets are drawn
    more than that (multilingual BERT and T5 do so); without bound it would be uniform. Raises MixtureError for a data
    set without rows, and a temperature that is not above 0.
    """

    kind = "by_size"

    def __init__(self, names: Sequence[str], sizes: Mapping[str, int], temperature: float = 1.0) -> None:
        names = checked_names(names)
        check_names("sizes", sizes, names)
        if not temperature > 0:
            raise MixtureError(f"the temperature is {temperature}; give a number above 0")
        rows = checked_sizes(sizes)
        # Relative to the largest, so that no power overflows.
        largest = max(rows.values())
        powers = {name: (rows[name] / largest) ** (1 / temperature) for name in names}
        total = sum(powers.values())
        super().__init__(names, {name: power / total for name, power in powers.items()})


class FinalStatic(Static):
    """The weights with which another strategy ended, given by its `state_dict` (MoE-SFT's FinalStatic)."""

    kind = "final_static"

    def __init__(self, names: Sequence[str], earlier: Mapping[str, Any]) -> None:
        if not earlier.get("weights"):
            raise MixtureError("give the state_dict() of the strategy whose last weights these shall be")
        super().__init__(names, earlier["weights"])


def shares(weights: Mapping[str, float] | str) -> Mapping[str, float]:
    """The weights, or the published shares of that name. Raises MixtureError for an unknown name."""
    if not isinstance(weights, str):
        return weights
    if weights not in SHARES:
        raise MixtureError(f"no published shares {weights!r}{near(weights, SHARES)}")
    return SHARES[weights]
