"""More of what is worse than a reference model: Sheared-LLaMA's dynamic batch loading."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import MixtureError
from ..signal import Signal, check_names
from ..weights import checked_rates, moved
from .base import WeightedStrategy
from .static import fractions

MOST = 1e4
"""Nats per token that no model has: a uniform guess among a million tokens has 14."""


class ReferenceLoss(WeightedStrategy):
    """Weights move by how much the loss of a data set exceeds that of a reference: a = softmax(log w + eta * delta).

    Sheared-LLaMA (arXiv 2310.06694, algorithm 1) takes delta = max(loss - reference, 0) and no uniform share:
    ``clamp=True``. What LLaMA-MoE and MoE-SFT released takes delta = loss - reference, so that data sets better than
    the reference lose weight, with a uniform fraction of 1e-4: ``clamp=False``. Both have eta = 1.

    Args:
        names: of the data sets.
        reference: losses of the reference on the same held-out rows, nats per token. They are measured in a step of
            their own: with the dense donor before its training (LLaMA-MoE), or at the end of a uniform run (MoE-SFT).
        clamp: whether a loss below the reference counts as equal to it.
        eta: step size.
        smoothing: the uniform share c; by default as above.
        start: weights before the first update, or the name of published shares; equal ones by default.

    Raises:
        MixtureError: for a reference that is missing, unknown, not finite or beyond `MOST`, and for rates out of range.
    """

    kind = "reference_loss"
    needs = frozenset({"losses"})

    def __init__(
        self,
        names: Sequence[str],
        reference: Mapping[str, float],
        *,
        clamp: bool = False,
        eta: float = 1.0,
        smoothing: float | None = None,
        start: Mapping[str, float] | str | None = None,
    ) -> None:
        super().__init__(names, None if start is None else fractions(start))
        check_names("reference losses", reference, self.names)
        for name in self.names:
            if not abs(reference[name]) <= MOST:
                raise MixtureError(f"the reference loss of data set {name!r} is {reference[name]}, in nats per token")
        if smoothing is None:
            smoothing = 0.0 if clamp else 1e-4
        checked_rates(eta, smoothing)
        self.reference = {name: float(reference[name]) for name in self.names}
        self.clamp = clamp
        self.eta = eta
        self.smoothing = smoothing

    def settings(self) -> dict[str, Any]:
        """Reference, clamp, eta and smoothing."""
        return {"reference": self.reference, "clamp": self.clamp, "eta": self.eta, "smoothing": self.smoothing}

    def _move(self, signal: Signal, entry: dict[str, Any]) -> np.ndarray:
        assert signal.losses is not None  # `update` has checked it
        delta_N = np.array([signal.losses[name] - self.reference[name] for name in self.names])
        if self.clamp:
            delta_N = np.maximum(delta_N, 0)
        entry["deltas"] = self.by_name(delta_N)
        return moved(self.weights_N, delta_N, self.eta, self.smoothing)
