"""Weights that never move: equal ones, by size, published shares, or the user's own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import MixtureError
from ...manifest import near
from ..signal import Signal, check_names
from ..weights import checked_names, checked_sizes
from .base import WeightedStrategy

SLIMPAJAMA = ("commoncrawl", "c4", "github", "wikipedia", "books", "arxiv", "stackexchange")
"""The seven domains of SlimPajama and RedPajama."""
MOE_SFT = ("code", "math", "orca", "sharegpt")
"""The four data sets of MoE-SFT: code instructions, MathInstruct, OpenOrca, ShareGPT."""
SHARES: dict[str, dict[str, float]] = {
    # Touvron et al. 2023 (arXiv 2302.13971, table 1), as LLaMA-MoE uses them (arXiv 2406.16554).
    "llama": dict(zip(SLIMPAJAMA, (0.67, 0.15, 0.045, 0.045, 0.045, 0.025, 0.02), strict=True)),
    # Where Sheared-LLaMA's dynamic loading ended (arXiv 2310.06694); LLaMA-MoE's final choice.
    "sheared-llama": dict(zip(SLIMPAJAMA, (0.361, 0.492, 0.008, 0.031, 0.091, 0.007, 0.01), strict=True)),
    # MoE-SFT (arXiv 2406.11256), its released settings: by size, two static starts, the end of the dynamic run.
    "moe-sft-sizes": dict(zip(MOE_SFT, (0.03658232, 0.07860043, 0.86719935, 0.01761791), strict=True)),
    "moe-sft-gate-load": dict(zip(MOE_SFT, (0.24664808, 0.31725317, 0.22705123, 0.20904752), strict=True)),
    "moe-sft-sentence-embeddings": dict(zip(MOE_SFT, (0.24472785, 0.2532278, 0.2500919, 0.25195244), strict=True)),
    "moe-sft-final": dict(zip(MOE_SFT, (0.2850663, 0.32022977, 0.21494599, 0.17975794), strict=True)),
}
"""Static fractions. LLaMA-MoE names its two "Static-LLaMA" and "Static-Sheared"."""
REFERENCE_LOSSES: dict[str, dict[str, float]] = {
    # LLaMA-2-7B on held-out SlimPajama, from the settings that LLaMA-MoE released.
    "llama-2-7b": {
        "commoncrawl": 1.6916865110397339,
        "c4": 2.074881076812744,
        "github": 0.6984495520591736,
        "wikipedia": 1.5899001359939575,
        "books": 1.925248146057129,
        "arxiv": 1.2408167123794556,
        "stackexchange": 1.4974864721298218,
    },
}
"""Reference losses of published models, in nats per token; measure your own for your own data."""


class Static(WeightedStrategy):
    """The weights that are given: by data set, or the name of published shares (``SHARES``).

    Raises MixtureError for an unknown name, and for published shares of other data sets than ``names``.
    """

    kind = "static"

    def __init__(self, names: Sequence[str], weights: Mapping[str, float] | str) -> None:
        super().__init__(names, fractions(weights))

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


def fractions(weights: Mapping[str, float] | str) -> Mapping[str, float]:
    """The weights, or the published shares of that name. Raises MixtureError for an unknown name."""
    if not isinstance(weights, str):
        return weights
    if weights not in SHARES:
        raise MixtureError(f"no published shares {weights!r}{near(weights, SHARES)}")
    return SHARES[weights]
