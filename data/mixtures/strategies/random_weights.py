"""Random weights, new in each round or after each step."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ..row_order import random_words
from ..signal import Signal
from ..weights import checked_choice
from .base import WeightedStrategy


class RandomWeights(WeightedStrategy):
    """Uniform random numbers divided by their sum: MoE-SFT's Random (arXiv 2406.11256).

    The weights of a round depend on ``seed`` and its number alone. ``every`` says when there are new ones: "round", or
    "step" for the option by batch. The first weights are equal ones.
    """

    kind = "random"

    def __init__(self, names: Sequence[str], seed: int, every: Literal["round", "step"] = "round") -> None:
        super().__init__(names)
        self.seed = seed
        self.every = checked_choice("rhythm", every, ("round", "step"))

    def settings(self) -> dict[str, Any]:
        """Seed and rhythm."""
        return {"seed": self.seed, "every": self.every}

    def _move(self, signal: Signal, entry: dict[str, Any]) -> np.ndarray:
        count = len(self.names)
        number = len(self.rounds)  # 1 in the first update
        words_N = random_words(f"random weights/{self.seed}", number * count, count)
        numbers_N = (words_N >> np.uint64(11)) * 2.0**-53 + 2.0**-54  # never 0
        return numbers_N / numbers_N.sum()
