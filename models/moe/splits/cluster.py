"""Independent-Clustering of LLaMA-MoE (arXiv 2406.16554): neurons with similar input weights together."""

from ...errors import ModelError
from .base import Partition, SplitInput, set_apart
from .clustering import balanced_kmeans


def split(inp: SplitInput) -> Partition:
    """Balanced k-means of the neurons' rows of the up or gate matrix (`config.cluster_on`).

    The paper scales rows to unit length: that is `metric="cos"`; "l2" compares them as they are.

    Args:
        inp: the FFN and the configuration.

    Raises:
        ModelError: `cluster_on` "gate" of an FFN without a gate.
    """
    rows = inp.neurons.up if inp.config.cluster_on == "up" else inp.neurons.gate
    if rows is None:
        raise ModelError("cluster_on='gate' needs a gated feed-forward layer: use cluster_on='up'")
    shared, rest = set_apart(inp)
    found = balanced_kmeans(
        rows.detach()[rest.to(rows.device)],
        inp.config.num_routed,
        inp.generator,
        metric=inp.config.metric,
        starts=inp.config.kmeans_starts,
    )
    return Partition(shared=shared, experts=tuple(rest[group] for group in found.groups))
