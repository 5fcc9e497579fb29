"""Pruning as rows of a task: what they need, what they leave, and what they say of experts without tokens."""

import argparse
import heapq
import inspect
import random
import statistics
import string
import textwrap
import typing
import warnings
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.linear.expert_linears import linear_maps
from sparsebench.models.compression.slimming.pruning import PruningConfig, prune
from sparsebench.models.errors import ModelError
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.contracts.traits import ATTENTION, CALIBRATION_DATA, EXPERTS, FFN
from sparsebench.suites.llm.backbones import small_mixture, tiny_mixture
from sparsebench.suites.methods.compression.magnitude_pruning import MagnitudePruning
from sparsebench.suites.methods.compression.sparsegpt import SparseGPT
from sparsebench.suites.methods.compression.wanda import Wanda
from sparsebench.suites.methods.moe.moe_shared import SharedSplit
from sparsebench.suites.methods.shared.tune import Tune

from ..setups import choices, images, python_code, text

METHODS = [MagnitudePruning, Wanda, SparseGPT]


def zeros(model: nn.Module) -> float:
    maps = linear_maps(model)
    return sum(int((one.weight == 0).sum()) for one in maps) / sum(one.weight.numel() for one in maps)


@pytest.mark.parametrize("kind", METHODS)
def test_half_of_the_weights_of_a_stock_mixture_are_0(kind: Any) -> None:
    setup = text(tiny_mixture.load)
    method = kind(pattern="2:4")
    model = method.prepare(setup.model, setup.context)
    assert zeros(model) == 0.5
    curves = method.fit(model, setup.data, setup.context)
    blocks = len(describe(model).blocks)
    assert curves["zeros by block"] == [(float(block), 0.5) for block in range(blocks)]


@pytest.mark.parametrize("kind", METHODS)
def test_a_chain_with_a_conversion_and_healing(kind: Any) -> None:
    """A dense model cut into experts, pruned, then trained with its zeros and without."""
    setup = choices()
    model = SharedSplit(train="none").prepare(setup.model, setup.context)
    pruned = kind(train="none").prepare(model, setup.context)
    assert zeros(pruned) == pytest.approx(0.5, abs=0.01)
    before = zeros(pruned)
    for keep_zeros in (True, False):
        healing = Tune(train="experts", keep_zeros=keep_zeros)
        healing.fit(healing.prepare(pruned, setup.context), setup.data, setup.context)
        assert (zeros(pruned) == before) == keep_zeros
    ((_, left), *_) = kind(train="none").fit(pruned, setup.data, setup.context)["zeros by block"]
    assert left < before


def test_what_the_row_itself_trains_keeps_its_zeros() -> None:
    setup = choices(tiny_mixture.load)
    method = MagnitudePruning(train="all", pattern="row")
    model = method.prepare(setup.model, setup.context)
    dense = [one.weight.clone() for one in linear_maps(model)]
    curves = method.fit(model, setup.data, setup.context)
    assert zeros(model) == 0.5 and curves["zeros by block"] == [(0.0, 0.5), (1.0, 0.5)]
    assert not any(torch.equal(one.weight, old) for one, old in zip(linear_maps(model), dense, strict=True))


@pytest.mark.parametrize("kind", METHODS)
def test_a_mixture_of_a_vision_transformer(kind: Any) -> None:
    setup = images()
    model = SharedSplit(train="none").prepare(setup.model, setup.context)
    assert zeros(kind(train="none").prepare(model, setup.context)) == pytest.approx(0.5, abs=0.01)


def test_a_dense_twin() -> None:
    setup = text()
    model = Wanda(parts=("ffn",)).prepare(setup.model, setup.context)
    assert all((one.weight == 0).any() for one in linear_maps(model, ("ffn",)))
    assert not any((one.weight == 0).any() for one in linear_maps(model, ("attention",)))


def test_on_a_trained_mixture_what_looks_at_the_inputs_loses_less() -> None:
    """2:4, on code: SparseGPT before Wanda before magnitude, as the papers have it; calibrated on other modules."""
    lm = small_mixture.load(torch.Generator())
    seen = python_code(lm.tokenizer, argparse, heapq, inspect, random, statistics).split(4)
    held_out = python_code(lm.tokenizer, string, textwrap, typing)
    losses = {}
    for method in (None, "sparsegpt", "wanda", "magnitude"):
        model = small_mixture.load(torch.Generator()).model.eval()
        if method is not None:
            prune(model, PruningConfig(method=method, pattern="2:4"), [{"input_ids": ids} for ids in seen])
        with torch.no_grad():
            losses[method] = float(model(input_ids=held_out, labels=held_out).loss)
    assert list(losses.values()) == sorted(losses.values()), losses
    assert losses["sparsegpt"] - losses[None] < 0.6 * (losses["magnitude"] - losses[None])


@pytest.mark.parametrize("kind", [Wanda, SparseGPT])
def test_the_options_reach_the_settings(kind: Any) -> None:
    assert kind().pruning().sequential and not kind(sequential=False).pruning().sequential


def test_needs() -> None:
    assert MagnitudePruning().needs == {EXPERTS}
    assert Wanda().needs == {EXPERTS, CALIBRATION_DATA}
    assert SparseGPT(parts=("attention", "ffn")).needs == {ATTENTION, FFN, CALIBRATION_DATA}


def test_a_part_that_the_backbone_has_not_is_not_applicable() -> None:
    setup = text(tiny_mixture.load)
    with pytest.raises(NotApplicable, match="has no linear maps of: shared"):
        MagnitudePruning(parts=("shared",)).prepare(setup.model, setup.context)


def test_experts_without_tokens_are_a_warning() -> None:
    setup = text(tiny_mixture.load)
    with pytest.warns(UserWarning, match=r"pruned by magnitude, for want of calibration tokens.*\[0\]\.gate \("):
        Wanda(min_tokens=10**6).prepare(setup.model, setup.context)
    other = text(tiny_mixture.load)
    by_size = MagnitudePruning(pattern="row").prepare(other.model, other.context)
    for name, tensor in setup.model.state_dict().items():
        assert torch.equal(tensor, by_size.state_dict()[name])


def test_all_experts_seen_is_no_warning() -> None:
    setup = text(tiny_mixture.load)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MagnitudePruning().prepare(setup.model, setup.context)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (MagnitudePruning, {"sparsity": 1.0}),
        (Wanda, {"pattern": "2:4", "sparsity": 0.7}),
        (Wanda, {"router_weighted": True, "parts": ("ffn",)}),
        (SparseGPT, {"damping": -1.0}),
        (SparseGPT, {"parts": ("heads",)}),
    ],
)
def test_settings_that_cannot_be_are_refused_at_once(kind: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        kind(**fields)
