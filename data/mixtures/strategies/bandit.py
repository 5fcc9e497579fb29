"""More of what the model still finds hard: a bandit whose arms are the data sets."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..signal import Signal
from .base import WeightedStrategy
from .static import fractions


class Bandit(WeightedStrategy):
    """Exp3 with held-out losses as rewards: data sets with high losses are drawn more, with less exploration in time.

    The policy is that of Online Data Mixing (ODM, arXiv 2312.02406): in round t of N data sets,
    w = (1 - N e_t) softmax(e_(t-1) R) + e_t with the exploration rate e_t = min(1 / N, sqrt(ln N / (N t))), e_0 = 1 / N
    and R the sum of all rewards so far. Rewards are the losses, scaled in each round so that the lowest is 0 and the
    highest 1. ODM itself takes the training losses of what was just drawn; the rule for held-out ones is that of the
    validation updater in its authors' repository (alon-albalak/online-data-mixing), with rounds for steps. As all data
    sets are measured in each round, no reward is divided by the weight of its arm.

    Args:
        names: of the data sets.
        start: weights before the first update, or the name of published shares; equal ones by default.
    """

    kind = "bandit"
    needs = frozenset({"losses"})

    def __init__(self, names: Sequence[str], start: Mapping[str, float] | str | None = None) -> None:
        super().__init__(names, None if start is None else fractions(start))
        self.rewards_N = np.zeros(len(self.names))

    def exploration(self, number: int) -> float:
        """The weight that every data set has at least after so many rounds."""
        count = len(self.names)
        if number == 0:
            return 1 / count
        return min(1 / count, math.sqrt(math.log(count) / (count * number)))

    def state_dict(self) -> dict[str, Any]:
        """That of the base, and the rewards so far."""
        return {**super().state_dict(), "rewards": self.rewards_N.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on there; raises as the base does."""
        super().load_state_dict(state)
        self.rewards_N = np.array(state["rewards"])

    def _move(self, signal: Signal, entry: dict[str, Any]) -> np.ndarray:
        assert signal.losses is not None  # `update` has checked it
        losses_N = np.array([signal.losses[name] for name in self.names])
        scale = np.ptp(losses_N)
        if scale > 0:  # equal losses say nothing of which data set is harder
            self.rewards_N = self.rewards_N + (losses_N - losses_N.min()) / scale
        entry["deltas"] = self.by_name(self.rewards_N)
        number = len(self.rounds)  # 1 in the first update
        policy_N = np.exp(self.exploration(number - 1) * (self.rewards_N - self.rewards_N.max()))
        policy_N /= policy_N.sum()
        floor = self.exploration(number)
        weights_N = (1 - len(self.names) * floor) * policy_N + floor
        return weights_N / weights_N.sum()
