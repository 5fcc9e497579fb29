"""Merged experts: each row of the router stands for the weighted mean of its group."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scipy.cluster.hierarchy import fcluster, linkage

from sparsebench.models.compression.trimming.experts.merging import (
    MergeReport,
    aligned,
    around_the_busiest,
    average_linkage,
    cosine,
    merge_similar,
)
from sparsebench.models.counting import stored_bytes
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert

from ....zoo.text_families import build
from .cases import CASES, experts_of, model_of, outputs, statistics_of


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_groups_are_means_by_frequency(case: str) -> None:
    model = model_of(case)
    statistics = statistics_of(case, model, all_outputs=True)
    old = copy.deepcopy(model)
    report = merge_similar(model, statistics, 4)
    assert stored_bytes(model) == report.bytes_after < report.bytes_before
    for now, then, layer in zip(experts_of(model), experts_of(old), statistics, strict=True):
        groups = report.groups[layer.layer]
        assert now.num_experts == len(groups) == 4 and sorted(sum(groups, ())) == list(range(6))
        assert torch.equal(now.router.get().state_dict()["weight"], then.router.get().state_dict()["weight"])
        for place, group in enumerate(groups):
            counts = layer.counts[list(group)].double()
            share = counts / counts.sum() if counts.sum() > 0 else torch.full_like(counts, 1 / len(group))
            for name, value in zip(now.weights(place)._fields, now.weights(place), strict=True):
                if value is not None:
                    members = [getattr(then.weights(expert), name) for expert in group]
                    mean = sum(factor * member for factor, member in zip(share, members, strict=True))
                    torch.testing.assert_close(value, mean)
        assert now.table is not None
        table = now.table.get().tolist()
        assert all(table[expert] == place for place, group in enumerate(groups) for expert in group)
    assert torch.isfinite(outputs(case, model)).all()


@torch.no_grad()
@pytest.mark.parametrize("grouping", ["outputs", "router"])
@pytest.mark.parametrize("case", ["Mixtral", "GptOss", "Olmoe", "graphsgpt"])
def test_equal_experts_merge_without_a_trace(case: str, grouping: Any) -> None:
    """Experts 1, 4 and 5 are copies of 0, with their neurons in another order for M-SMoE, which undoes that."""
    model = model_of(case)
    for experts in experts_of(model):
        first = experts.weights(0)
        for copied, factor in ((1, 0.9), (4, 1.1), (5, 1.2)):
            order = torch.arange(first.up.shape[0]).roll(copied if grouping == "router" else 0)
            experts.set_weights(copied, _permuted(first, order))
            # Rows of the router alike but in length, so that those of copies are most similar.
            for row in experts.rows:
                row.get()[copied] = row.get()[0] * factor
    before = outputs(case, model)
    counts = torch.tensor([9, 1, 8, 7, 2, 3])  # were two copies among the busiest, they would stay apart
    statistics = [replace(layer, counts=counts) for layer in statistics_of(case, model, all_outputs=True)]
    report = merge_similar(model, statistics, 3, grouping=grouping, scope="layer")
    assert all({0, 1, 4, 5} in map(set, groups) for groups in report.groups.values())
    torch.testing.assert_close(outputs(case, model), before, atol=1e-9, rtol=1e-9)
    assert [experts.num_experts for experts in experts_of(model)] == [3] * len(statistics)


def _permuted(weights: Any, order: torch.Tensor) -> Any:
    inward = {name: getattr(weights, name) for name in ("gate", "up", "gate_bias", "up_bias")}
    changed = {name: value[order] for name, value in inward.items() if value is not None}
    changed["down"] = weights.down[:, order]
    return weights._replace(**{name: value.clone() for name, value in changed.items()})


@torch.no_grad()
def test_an_aligned_expert_computes_the_same_in_the_order_of_the_other() -> None:
    experts = experts_of(model_of("GptOss"))[0]
    weights = experts.weights(2)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    found = aligned(_permuted(weights, order), weights)
    for ours, theirs in zip(found, weights, strict=True):
        assert ours is not None and theirs is not None and torch.equal(ours, theirs)
    other = aligned(weights, experts.weights(3))
    x = torch.randn(4, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    before = F.linear(experts.hidden(2, x), weights.down, weights.down_bias)
    experts.set_weights(2, type(other)(*(None if value is None else value.clone() for value in other)))
    torch.testing.assert_close(F.linear(experts.hidden(2, x), experts.weights(2).down, weights.down_bias), before)


def test_keeping_all_changes_no_bit() -> None:
    model = model_of("Qwen3Moe")
    before = outputs("Qwen3Moe", model)
    report = merge_similar(model, statistics_of("Qwen3Moe", model, all_outputs=True), 6)
    assert torch.equal(outputs("Qwen3Moe", model), before) and report.bytes_before == report.bytes_after
    assert all(experts.table is None for experts in experts_of(model))


def test_what_cannot_be_merged_changes_nothing() -> None:
    model = model_of("Mixtral")
    statistics = statistics_of("Mixtral", model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ModelError, match=r"needs mixture_statistics\(..., all_outputs=True\)"):
        merge_similar(model, statistics, 4)
    with pytest.raises(ModelError, match="grouping='best' is not one of outputs, router"):
        merge_similar(model, statistics, 4, grouping="best")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="keep=9"):
        merge_similar(model, statistics, 9, grouping="router")
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    merge_similar(model, statistics, 4, grouping="router")
    with pytest.raises(ModelError, match="already chooses among more experts than there are"):
        merge_similar(model, statistics_of("Mixtral", model), 3, grouping="router")


def test_experts_of_different_sizes_have_no_mean() -> None:
    model: Any = convert(build("Phi3", "Phi3ForCausalLM"), MoEConfig(num_experts=4, top_k=2))
    sizes = {tuple(one.weights(expert).down.shape) for one in experts_of(model) for expert in range(4)}
    assert len(sizes) > 1
    with pytest.raises(ModelError, match="have different sizes"):
        merge_similar(model, statistics_of("converted", model, all_outputs=True), 2)


def test_the_busiest_of_all_layers_say_how_many_groups_a_layer_has() -> None:
    """M-SMoE: the total of equal numbers, layer by layer as many as it has of the busiest, its own busiest always."""
    model = model_of("Mixtral")
    first, second = statistics_of("Mixtral", model)
    # Of the second layer one expert takes all but a few tokens: fractions .9, .02 ... against .3, .2, .2, .1, .1, .1.
    even = replace(first, counts=torch.tensor([30, 20, 20, 10, 11, 9]))
    uneven = replace(second, counts=torch.tensor([180, 4, 4, 4, 4, 4]))
    by_default = merge_similar(copy.deepcopy(model), [even, uneven], 3, grouping="router")
    assert [len(groups) for groups in by_default.groups.values()] == [5, 1]
    equal = merge_similar(copy.deepcopy(model), [even, uneven], 3, grouping="router", scope="layer")
    named = merge_similar(copy.deepcopy(model), [even, uneven], [3, 3], grouping="router")
    assert [len(groups) for groups in equal.groups.values()] == [3, 3] and named == equal
    assert by_default.bytes_after == equal.bytes_after
    outputs_of = statistics_of("Mixtral", model, all_outputs=True)
    hierarchical = merge_similar(model, outputs_of, 3)
    assert [len(groups) for groups in hierarchical.groups.values()] == [3, 3]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("clusters", [1, 2, 5, 11, 12])
def test_average_linkage_is_that_of_scipy(seed: int, clusters: int) -> None:
    points = torch.randn(12, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    labels = fcluster(linkage(points.numpy(), method="average"), t=clusters, criterion="maxclust")
    expected = {tuple(int(place) for place in range(12) if labels[place] == label) for label in set(labels)}
    found = average_linkage(points, clusters)
    assert {tuple(group) for group in found} == expected and len(found) == clusters


def test_others_join_the_busy_one_that_is_most_similar() -> None:
    similarity = torch.tensor([[1, 0.1, 0.9, 0], [0.1, 1, 0.2, 0.7], [0.9, 0.2, 1, 0.5], [0, 0.7, 0.5, 1]])
    counts = torch.tensor([9, 8, 3, 1])
    assert around_the_busiest(similarity, counts, 2) == [[0, 2], [1, 3]]
    assert around_the_busiest(similarity, counts, 1) == [[0, 1, 2, 3]]
    assert around_the_busiest(similarity, counts.flip(0), 2) == [[2, 0], [3, 1]]
    assert around_the_busiest(similarity, counts, 4) == [[0], [1], [2], [3]]


def test_cosine_of_vectors_from_their_products() -> None:
    vectors = torch.tensor([[1.0, 0, 1], [2, 0, 2], [0, 3, 0], [0, 0, 0]], dtype=torch.float64)
    expected = torch.tensor([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], dtype=torch.float64)
    torch.testing.assert_close(cosine(vectors @ vectors.T), expected)


def test_a_report_prints_as_one_line_and_shows_the_groups() -> None:
    report = MergeReport({f"layers.{number}": ((0, 2), (1,)) for number in range(40)}, 2000, 1500)
    assert str(report) == "MergeReport(120 experts of 40 mixtures merged into 80; 2,000 -> 1,500 bytes)"
    shown = report._repr_html_()
    assert "layers.39" in shown and "(0, 2)" in shown and shown.count("<tr") < 30
