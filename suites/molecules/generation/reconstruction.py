"""Encode molecules, decode their words, and compare: exactly equal, or not."""

from collections.abc import Sequence
from typing import Any

from sparsebench.models.graphsgpt import Generated, GraphsGPTPipeline
from sparsebench.reports.records.record import Metric

from ...contracts.metrics import Scores
from ..metrics.fraction import fraction

FEWER_WORDS = (1, 2, 4, 8)
"""Numbers of words that are tried in addition to all."""


def reconstruct(sampler: Any, smiles: Sequence[str]) -> Scores:
    """Fractions of molecules whose canonical SMILES (without stereo) comes back: "exact" with all words of the sampler,
    "exact K=1" and so on with fewer. A molecule that has no tokens counts as not reconstructed.

    Decoding is greedy and constrained.
    """
    all_words = sampler.pipeline().num_words or sampler.model.config.num_words
    numbers = [number for number in FEWER_WORDS if number < all_words]
    metrics: dict[str, Metric] = {}
    exact: list[bool] = []
    for number in [*numbers, all_words]:
        exact = _exact(GraphsGPTPipeline(sampler.model, num_words=number), smiles)
        metrics[f"exact K={number}"] = fraction(sum(exact), len(exact))
    metrics["exact"] = metrics[f"exact K={all_words}"]
    return Scores("exact", metrics, {"exact": exact})


def _exact(pipeline: GraphsGPTPipeline, smiles: Sequence[str]) -> list[bool]:
    """For each molecule, whether its own words are decoded to it."""
    decoded: list[Generated] = pipeline.decode(pipeline.encode(smiles).words)
    tokens = pipeline.tokenize(smiles)
    exact = []
    for row, one in enumerate(decoded):
        # Both sides are read from tokens, so that what tokens cannot hold (stereo) does not count.
        wanted = pipeline.read(tokens[row]).smiles
        exact.append(one.status == "ok" and one.smiles == wanted)
    return exact
