"""More of what uses other experts: MoE-SFT's dynamic sampling."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ...errors import MixtureError
from ..distances import CRITERIA, DISTANCES, Criterion, Distance, deltas, distance_matrix
from ..signal import Signal
from ..weights import checked_choice, checked_rates, moved
from .base import WeightedStrategy
from .static import fractions

Layers = Literal["last", "first", "all"]
_LAYERS: dict[str, slice] = {"last": slice(-1, None), "first": slice(0, 1), "all": slice(None)}


class GateLoad(WeightedStrategy):
    """Weights move by how far a data set's choice of experts is from that of the others (MoE-SFT, arXiv 2406.11256).

    Equations 1-5: shares of the experts in the choices of a layer, distances between data sets, their mean over all N,
    a = softmax(log w + eta * delta), w' = (1 - c) a + c / N. The paper updates every 100 steps with eta 10 and c 0.05
    (LLaMA-MoE), or every 200 with c 0.8 (MoLM).

    Args:
        names: of the data sets; at least three, since two are equally far from each other.
        distance: "l2", "cosine", or "inverse", which moves weights the other way round.
        criterion: "mean", "min" (nearest) or "max" (farthest) of the distances to the others.
        layers: whose choices count: those of the "last" layer with experts, of the "first", or of "all".
        eta: step size.
        smoothing: the uniform share c.
        start: weights before the first update, or the name of published shares; equal ones by default.
        at_start: whether the first update is due before the first step.
        faithful: the released criteria "min" and "max", which count a data set as its own neighbour.

    Raises:
        MixtureError: for fewer than three data sets, unknown options, and rates out of range.
    """

    kind = "gate_load"
    needs = frozenset({"loads"})

    def __init__(
        self,
        names: Sequence[str],
        *,
        distance: Distance = "l2",
        criterion: Criterion = "mean",
        layers: Layers = "last",
        eta: float = 10.0,
        smoothing: float = 0.05,
        start: Mapping[str, float] | str | None = None,
        at_start: bool = False,
        faithful: bool = False,
    ) -> None:
        super().__init__(names, None if start is None else fractions(start))
        if len(self.names) < 3:
            raise MixtureError(
                f"{self.kind} needs at least three data sets, not {len(self.names)}: two are equally far from each "
                "other, and weights that start equal would never move"
            )
        checked_rates(eta, smoothing)
        self.distance: Distance = checked_choice("distance", distance, DISTANCES)
        self.criterion: Criterion = checked_choice("criterion", criterion, CRITERIA)
        self.layers = checked_choice("choice of layers", layers, tuple(_LAYERS))
        self.eta = eta
        self.smoothing = smoothing
        self.at_start = at_start
        self.faithful = faithful

    def settings(self) -> dict[str, Any]:
        """All arguments but names and start."""
        keys = ("distance", "criterion", "layers", "eta", "smoothing", "at_start", "faithful")
        return {key: getattr(self, key) for key in keys}

    def _move(self, signal: Signal, entry: dict[str, Any]) -> np.ndarray:
        layers = _LAYERS[self.layers]
        vectors = {name: fractions_LE[layers] for name, fractions_LE in signal.load_shares().items()}
        distances_NN = distance_matrix(vectors, self.names, self.distance)
        delta_N = deltas(distances_NN, self.distance, self.criterion, self.faithful)
        entry["distances"] = distances_NN.tolist()
        entry["deltas"] = self.by_name(delta_N)
        return moved(self.weights_N, delta_N, self.eta, self.smoothing)


class GateLoadStatic(GateLoad):
    """One update from the gate loads before the first step; the weights then stay (MoE-SFT's static GateLoad).

    Later updates only log what they see. Arguments as for `GateLoad`.
    """

    kind = "gate_load_static"

    def __init__(self, names: Sequence[str], **options: Any) -> None:
        super().__init__(names, **{**options, "at_start": True})

    def _move(self, signal: Signal, entry: dict[str, Any]) -> np.ndarray:
        before_N = self.weights_N
        moved_N = super()._move(signal, entry)
        return moved_N if len(self.rounds) == 1 else before_N
