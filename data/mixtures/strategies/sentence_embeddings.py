"""More of what says other things: a static start from sentence embeddings."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import MixtureError
from ..distances import Criterion, Distance, deltas, distance_matrix
from ..signal import check_names
from ..weights import checked_names, checked_rates, moved
from .static import Static


class SentenceEmbeddings(Static):
    """One update of equal weights from the distances between data sets' mean sentence embeddings; then they stay.

    MoE-SFT's SentEmb (arXiv 2406.11256), with the rule of `GateLoad`; its weights are also a start for it. How the
    paper makes one vector of a data set is not stated: here it is the mean of the embeddings of its rows.

    Args:
        names: of the data sets; at least three.
        embeddings: by data set (rows, features), or (features,) where the mean is taken already.
        distance, criterion, eta, smoothing: as for `GateLoad`.

    Raises:
        MixtureError: for embeddings that are missing, empty, not finite or of other widths, and as `GateLoad`.
    """

    kind = "sentence_embeddings"

    def __init__(
        self,
        names: Sequence[str],
        embeddings: Mapping[str, np.ndarray],
        *,
        distance: Distance = "l2",
        criterion: Criterion = "mean",
        eta: float = 10.0,
        smoothing: float = 0.05,
    ) -> None:
        names = checked_names(names)
        if len(names) < 3:
            raise MixtureError(
                f"{self.kind} needs at least three data sets, not {len(names)}: two are equally far from each other"
            )
        check_names("embeddings", embeddings, names)
        checked_rates(eta, smoothing)
        means = {name: _mean(name, embeddings[name]) for name in names}
        widths = {name: mean_1D.shape[1] for name, mean_1D in means.items()}
        if len(set(widths.values())) > 1:
            raise MixtureError(f"the embeddings have other numbers of features: {widths}; use one encoder for all")
        distances_NN = distance_matrix(means, names, distance)
        delta_N = deltas(distances_NN, distance, criterion)
        weights_N = moved(np.full(len(names), 1 / len(names)), delta_N, eta, smoothing)
        super().__init__(names, dict(zip(names, weights_N.tolist(), strict=True)))
        start: dict[str, Any] = self.rounds[0]
        start["distances"] = distances_NN.tolist()
        start["deltas"] = self.by_name(delta_N)


def _mean(name: str, embeddings: np.ndarray) -> np.ndarray:
    """The mean embedding of a data set: (1, features)."""
    rows_RD = np.atleast_2d(np.asarray(embeddings, dtype=np.float64))
    if rows_RD.ndim != 2 or 0 in rows_RD.shape:
        raise MixtureError(f"the embeddings of data set {name!r} have the shape {rows_RD.shape}, not (rows, features)")
    if not np.isfinite(rows_RD).all():
        raise MixtureError(f"the embeddings of data set {name!r} are not all finite")
    return rows_RD.mean(axis=0, keepdims=True)
