"""Layer Drop, Attention Drop and Block Drop as methods: what goes, its controls, and where they cannot run."""

import argparse
import copy
import heapq
import inspect
import random
import statistics
import string
import textwrap
import typing
from collections.abc import Callable
from typing import Any

import pytest
import torch

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.trimming.attention_drop import drop_attentions
from sparsebench.models.compression.trimming.block_drop import drop_blocks
from sparsebench.models.compression.trimming.layer_drop import drop_layers
from sparsebench.models.compression.trimming.similarity import (
    attention_similarity,
    block_similarity,
    layer_similarity,
)
from sparsebench.models.errors import ModelError
from sparsebench.reports.compression.notes import KEY, from_details
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.contracts.task import Setup
from sparsebench.suites.contracts.traits import CALIBRATION_DATA, EXPERTS
from sparsebench.suites.llm.backbones import small_mixture
from sparsebench.suites.methods.compression import _depth_trimming as depth_trimming
from sparsebench.suites.methods.compression.attention_drop import AttentionDrop
from sparsebench.suites.methods.compression.block_drop import BlockDrop
from sparsebench.suites.methods.compression.expert_drop import ExpertDrop
from sparsebench.suites.methods.compression.layer_drop import LayerDrop
from sparsebench.suites.methods.moe.moe_random import RandomSplit

from ....models.zoo.text_families import build
from ..setups import images, moved_by_fit, python_code, text

MEASURES: dict[str, tuple[Callable[..., dict[int, float]], Callable[..., Any]]] = {
    "layers": (lambda model, batches: layer_similarity(model, batches, range(4)), drop_layers),
    "attentions": (lambda model, batches: attention_similarity(model, batches, range(4)), drop_attentions),
    "blocks": (block_similarity, drop_blocks),
}


@pytest.fixture
def setup() -> Setup:
    return text()


def left(model: Any) -> list[tuple[bool, bool]]:
    """Of each block, whether it has an attention and an FFN."""
    return [(block.attention is not None, block.mlp is not None) for block in describe(model).blocks]


def mixture(setup: Setup) -> Any:
    return RandomSplit(num_experts=4, top_k=2, train="none").prepare(setup.model, setup.context)


def test_the_layer_that_changes_least_goes(setup: Setup) -> None:
    model = mixture(setup)
    similarity = layer_similarity(model, setup.context.calibration(), [0, 1])
    most = max(similarity, key=similarity.__getitem__)
    for choice, gone in (("similarity", most), ("reverse", 1 - most), ("first", 0), ("last", 1)):
        found = LayerDrop(choice=choice).prepare(copy.deepcopy(model), setup.context)  # type: ignore[arg-type]
        assert left(found) == [(True, index != gone) for index in (0, 1)]


def test_the_record_says_how_similar_layers_were_and_which_went(setup: Setup) -> None:
    model = mixture(setup)
    similarity = layer_similarity(model, setup.context.calibration(), [0, 1])
    LayerDrop().prepare(model, setup.context)
    most = max(similarity, key=similarity.__getitem__)
    noted = from_details(1, setup.context.notes[KEY])
    assert dict(noted.points("similarity")) == pytest.approx(similarity)
    assert dict(noted.points("dropped")) == {most: 1, 1 - most: 0}
    AttentionDrop(choice="last").prepare(model, setup.context)
    noted = from_details(1, setup.context.notes[KEY])
    assert noted.points("dropped") == [(0.0, 0), (1.0, 1)] and noted.points("similarity") == []


def test_a_dense_twin_and_attentions(setup: Setup) -> None:
    dense = copy.deepcopy(setup.model)
    similarity = attention_similarity(dense, setup.context.calibration(), [0, 1])
    most = max(similarity, key=similarity.__getitem__)
    found = AttentionDrop().prepare(copy.deepcopy(dense), setup.context)
    assert left(found) == [(index != most, True) for index in (0, 1)]
    assert left(LayerDrop(layers="all", n=2).prepare(dense, setup.context)) == [(True, False)] * 2


def test_a_chain_drops_what_each_link_says(setup: Setup) -> None:
    model = mixture(setup)
    model = LayerDrop(choice="first").prepare(model, setup.context)
    model = AttentionDrop(choice="last").prepare(model, setup.context)
    assert left(model) == [(True, False), (False, True)]
    assert left(BlockDrop(choice="first").prepare(model, setup.context)) == [(False, True)]
    ids = setup.context.batches()[0]["input_ids"]
    assert model(input_ids=ids).logits.isfinite().all() and model.config.num_hidden_layers == 1


def test_layers_then_experts_in_one_row(setup: Setup) -> None:
    """Invariant B6, of methods: experts are scored on the model without the layer."""
    model = LayerDrop(choice="first").prepare(mixture(setup), setup.context)
    model = ExpertDrop(keep=0.5, scope="global").prepare(model, setup.context)
    numbers = [None if block.mlp is None else block.mlp.experts.num_experts for block in describe(model).blocks]  # type: ignore[union-attr]
    assert numbers == [None, 2]


def on_a_trained_mixture(name: str) -> tuple[dict[int, float], dict[int, float]]:
    """Similarities, and the loss without each of the four parts, on other code than was looked at."""
    measure, drop = MEASURES[name]
    lm = small_mixture.load(torch.Generator())
    batch = {"input_ids": python_code(lm.tokenizer, argparse, heapq, random, statistics)}
    held_out = python_code(lm.tokenizer, inspect, string, textwrap, typing)
    similarity = measure(lm.model.eval(), [batch])
    losses = {}
    for index in range(4):
        model: Any = copy.deepcopy(lm.model)
        drop(model, [index])
        with torch.no_grad():
            losses[index] = float(model(input_ids=held_out, labels=held_out).loss)
    return similarity, losses


@pytest.mark.parametrize("name", ["layers", "attentions"])
def test_on_a_trained_mixture_the_most_similar_goes_at_the_least_loss(name: str) -> None:
    """As in the papers, before the last one and far before the first."""
    similarity, losses = on_a_trained_mixture(name)
    most = max(similarity, key=similarity.__getitem__)
    assert losses[most] == min(losses.values()), (losses, similarity)
    assert losses[most] < losses[3] < losses[0]
    assert min(similarity, key=similarity.__getitem__) == max(losses, key=losses.__getitem__) == 0


def test_on_a_trained_mixture_similarity_spares_the_block_that_matters() -> None:
    """Not more than that: the other three blocks cost nearly the same, and the most similar is not the cheapest."""
    similarity, losses = on_a_trained_mixture("blocks")
    most = max(similarity, key=similarity.__getitem__)
    least = min(losses.values())
    assert min(similarity, key=similarity.__getitem__) == max(losses, key=losses.__getitem__) == 0
    assert losses[most] - least < 0.05 * (losses[0] - least)


@pytest.mark.parametrize("pattern", ["discrete", "consecutive"])
def test_blocks_one_by_one_or_side_by_side(pattern: Any, setup: Setup) -> None:
    for choice in ("similarity", "reverse", "random", "first", "last"):
        model = BlockDrop(pattern=pattern, choice=choice).prepare(copy.deepcopy(setup.model), setup.context)  # type: ignore[arg-type]
        assert left(model) == [(True, True)]


@pytest.mark.parametrize(
    "method",
    [
        LayerDrop(layers="all", choice="oracle"),
        AttentionDrop(choice="oracle"),
        BlockDrop(choice="oracle"),
        BlockDrop(choice="oracle", pattern="consecutive"),
    ],
    ids=str,
)
def test_the_oracle_finds_the_least_loss(method: Any, setup: Setup) -> None:
    def loss(model: Any) -> float:
        with torch.no_grad():
            return sum(float(setup.context.loss(model, batch)) for batch in setup.context.batches())

    tried = []
    for index in (0, 1):
        model = copy.deepcopy(setup.model)
        method.drop(model, [index])
        tried.append(loss(model))
    assert tried[0] != tried[1]
    found = method.prepare(setup.model, setup.context)
    assert loss(found) == pytest.approx(min(tried), abs=1e-6)


@pytest.mark.parametrize("method", [LayerDrop(layers="all", n=0), AttentionDrop(n=0), BlockDrop(n=0)], ids=str)
def test_nothing_to_drop_is_the_model(method: Any, setup: Setup) -> None:
    """Invariant B2."""
    ids = setup.context.batches()[0]["input_ids"]
    before = setup.model(input_ids=ids).logits
    assert torch.equal(method.prepare(setup.model, setup.context)(input_ids=ids).logits, before)


def test_random_ones_follow_the_seed_and_read_no_data(setup: Setup) -> None:
    method = LayerDrop(layers="all", choice="random")
    chosen = set()
    for seed in range(12):
        context = Context(suite="llm", task="synthetic", seed=seed)  # without calibration batches
        first, again = (left(method.prepare(copy.deepcopy(setup.model), context)) for _ in range(2))
        assert first == again
        chosen.add(first[0])
    assert len(chosen) == 2


def test_similarities_are_measured_once_for_every_budget(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariant B13: the cache knows weights, data and what was measured, not the name of a file."""
    calls: list[str] = []

    def counted(*args: Any, **keywords: Any) -> dict[int, float]:
        calls.append(keywords["metric"])
        return layer_similarity(*args, **keywords)

    monkeypatch.setattr("sparsebench.suites.methods.compression.layer_drop.layer_similarity", counted)
    depth_trimming._measured.clear()
    model = mixture(setup)
    for n in (1, 2):
        LayerDrop(n=n).prepare(copy.deepcopy(model), setup.context)
    LayerDrop(choice="reverse").prepare(copy.deepcopy(model), setup.context)
    assert calls == ["norm_moe"]
    LayerDrop(metric="moe").prepare(copy.deepcopy(model), setup.context)
    assert calls == ["norm_moe", "moe"]
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1
    LayerDrop(metric="moe").prepare(copy.deepcopy(model), setup.context)
    assert calls == ["norm_moe", "moe", "moe"]


def test_what_a_row_needs() -> None:
    assert LayerDrop().needs == {EXPERTS, CALIBRATION_DATA}
    assert LayerDrop(choice="last").needs == {EXPERTS}
    assert EXPERTS not in LayerDrop(layers="all").needs
    with pytest.raises(ValueError, match="n=-1 must be 0 or more"):
        BlockDrop(n=-1)


@pytest.mark.parametrize(
    ("method", "why"),
    [
        (LayerDrop(), "no mixture of experts to drop"),
        (LayerDrop(layers="all", n=3), "n=3 must be a whole number from 0 to 2"),
        (AttentionDrop(n=3), "n=3 must be a whole number from 0 to 2"),
        (BlockDrop(n=2), "at least one block"),
        (AttentionDrop(choice="oracle", oracle_sets=1), "there are 2 sets to try, more than 1"),
        (BlockDrop(choice="oracle", pattern="consecutive", n=3), "n=3 must be a whole number from 0 to 2"),
        (BlockDrop(n=3, pattern="consecutive"), "n=3 must be a whole number from 0 to 2"),
    ],
    ids=str,
)
def test_a_backbone_with_too_little_to_drop_is_not_applicable(method: Any, why: str, setup: Setup) -> None:
    before = copy.deepcopy(setup.model.state_dict())
    with pytest.raises(NotApplicable, match=why):
        method.prepare(setup.model, setup.context)
    after = setup.model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(value, before[name]) for name, value in after.items())


def test_a_model_that_computes_nan_is_an_error_not_a_missing_feature(setup: Setup) -> None:
    model: Any = setup.model
    with torch.no_grad():
        model.model.layers[0].self_attn.o_proj.weight[0] = torch.nan
    with pytest.raises(ModelError, match="NaN or infinite"):
        AttentionDrop().prepare(model, setup.context)
    assert left(model) == [(True, True)] * 2


def test_what_the_architecture_keeps_is_not_applicable(setup: Setup) -> None:
    with pytest.raises(NotApplicable, match="no attention that could be dropped"):
        AttentionDrop(choice="last").prepare(build("T5", "T5EncoderModel"), setup.context)


def test_a_vision_transformer_trains_its_head_on_what_is_left() -> None:
    ready = images()
    blocks = len(describe(ready.model).blocks)
    method = BlockDrop()
    model = method.prepare(ready.model, ready.context)
    assert len(describe(model).blocks) == blocks - 1
    assert moved_by_fit(method, model, ready) == {"head.weight", "head.bias"}
