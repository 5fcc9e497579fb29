import dataclasses

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.splits.cluster import split
from sparsebench.models.moe.splits.clustering import balanced_kmeans


@pytest.mark.parametrize("metric", ["l2", "cos"])
@pytest.mark.parametrize("matrix", ["up", "gate"])
def test_rows_of_the_matrix_that_was_named(matrix: str, metric, ffn_input) -> None:
    inp = ffn_input(MoEConfig(num_experts=5, split="cluster", cluster_on=matrix, metric=metric))
    rows = inp.neurons.up if matrix == "up" else inp.neurons.gate
    expected = balanced_kmeans(rows, 5, torch.Generator().manual_seed(0), metric=metric).groups
    assert all(torch.equal(a, b) for a, b in zip(split(inp).experts, expected, strict=True))


def test_more_starts_never_leave_a_larger_spread(ffn_input) -> None:
    def spread(config: MoEConfig) -> float:
        inp = ffn_input(config)
        return sum(float((inp.neurons.up[e] - inp.neurons.up[e].mean(0)).square().sum()) for e in split(inp).experts)

    one = spread(MoEConfig(num_experts=5, split="cluster"))
    assert spread(MoEConfig(num_experts=5, split="cluster", clustering_starts=6)) <= one
    faithful = spread(MoEConfig(num_experts=5, split="cluster", faithful=True))
    assert faithful == spread(MoEConfig(num_experts=5, split="cluster", clustering_starts=10))


def test_an_ffn_without_a_gate(ffn_input) -> None:
    inp = ffn_input(MoEConfig(split="cluster", cluster_on="gate"))
    inp = dataclasses.replace(inp, neurons=dataclasses.replace(inp.neurons, gate=None))
    with pytest.raises(ModelError, match=r"cluster_on='gate' needs a gated .*use cluster_on='up'"):
        split(inp)
