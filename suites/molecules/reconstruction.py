"""Encode molecules, decode their words, and compare: exactly equal, or not."""

from collections.abc import Sequence
from typing import Any

from sparsebench.models.graphsgpt import Generated, GraphsGPTPipeline
from sparsebench.reports.record import Metric

from ..contracts.metrics import Scores
from .metrics.share import share

STEPS = (1, 2, 4, 8)
"""Numbers of words that are tried beside all."""


def reconstruct(sampler: Any, smiles: Sequence[str]) -> Scores:
    """Shares of molecules whose canonical SMILES (without stereo) comes back: "exact" with all words of the sampler,
    "exact K=1" and so on with fewer. A molecule that has no tokens counts as not reconstructed.

    Decoding is greedy and constrained.
    """
    pipeline = sampler.pipeline()
    most = pipeline.num_words or sampler.model.config.num_words
    metrics: dict[str, Metric] = {}
    for words in [*(step for step in STEPS if step < most), most]:
        found = _exact(GraphsGPTPipeline(sampler.model, num_words=words), smiles)
        metrics[f"exact K={words}"] = share(sum(found), len(found))
    metrics["exact"] = metrics[f"exact K={most}"]
    return Scores("exact", metrics, {"exact": found})


def valid_share(made: Sequence[Generated]) -> Metric:
    """Share of the molecules that can be read and were not cut short."""
    return share(sum(one.status == "ok" for one in made), len(made))


def _exact(pipeline: GraphsGPTPipeline, smiles: Sequence[str]) -> list[bool]:
    made: list[Generated] = pipeline.decode(pipeline.encode(smiles).words)
    tokens = pipeline.tokenize(smiles)
    wanted = [pipeline.read(tokens[row]).smiles for row in range(len(tokens))]
    return [one.status == "ok" and one.smiles == right for one, right in zip(made, wanted, strict=True)]
