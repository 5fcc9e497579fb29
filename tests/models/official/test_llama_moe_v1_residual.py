"""LLaMA-MoE v1 with residual blocks, from a folder of the official code."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sparsebench.models import load
from sparsebench.models.official import import_official

from ..agreement import agree
from ..oracles.oracle import rounding
from .folders import RECORDED, check_refused, configured, expected_of, rewritten, say

NAME = "llama_moe_v1_residual"
"""Experts and residual blocks of uneven size; gates of the residual blocks at 0, their scale 3."""
MODEL = rounding(products=21, terms=32)
BLOCK = "model.layers.1.mlp.residual_block"
GATE = f"{BLOCK}.gate.gate_network.weight"
ROW = torch.arange(16.0).repeat(2, 1)


@torch.no_grad()
def test_outputs(tmp_path: Path) -> None:
    expected = expected_of(NAME)
    found = import_official(RECORDED / NAME, tmp_path / "ours")
    assert (found.layout, found.tensors) == (NAME, 61)
    model = load(tmp_path / "ours")
    agree(model(expected["input_ids"]).logits, expected["logits"], "logits", within=MODEL)
    mask = expected["attention_mask"]
    padded = model(expected["input_ids"], attention_mask=mask).logits
    agree(padded[mask.bool()], expected["logits_padded"][mask.bool()], "logits", within=MODEL)


UNWEIGHTED = {"multiply_gate_scores_residual": False}
SAYABLE: dict[str, tuple[dict[str, bool], Callable[[dict[str, Tensor]], object], str]] = {
    "equal rows of a gate": ({}, lambda t: t.update({GATE: ROW}), "logits"),
    "scores that are not used": (UNWEIGHTED, lambda t: t[GATE].normal_(), "logits_unweighted"),
}


@torch.no_grad()
def test_weights_that_are_the_same_for_every_token(tmp_path: Path, subtests: pytest.Subtests) -> None:
    expected = expected_of(NAME)
    for name, (config, change, wanted) in SAYABLE.items():
        with subtests.test(name):
            folder = rewritten(NAME, tmp_path / name, change)
            say(folder, **config)
            found = import_official(folder, tmp_path / f"{name}-ours")
            logits = load(tmp_path / f"{name}-ours")(expected["input_ids"]).logits
            agree(logits, expected[wanted], "logits", within=MODEL)
            assert any("residual gates" in line for line in found.unknown) == bool(config)


CHANGES: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "a trained gate": (lambda t: t[GATE][0].add_(0.1), "another weight for each token"),
    "no gate": (lambda t: t.pop(GATE), "no tensor .*gate_network"),
    "no expert": (lambda t: t.pop(f"{BLOCK}.calculator.experts.weight_up.1"), r"no tensor .*weight_up\.1"),
    "an expert more": (lambda t: t.update({f"{BLOCK}.calculator.experts.weight_up.2": ROW}), "have no place"),
}


def test_refused_tensors(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name, (change, message) in CHANGES.items():
        with subtests.test(name):
            check_refused(rewritten(NAME, tmp_path / name, change), message)


VALUES = {
    "weighted sum of both": ({"use_weighting": True}, "use_weighting=True"),
    "logits as weights": ({"gate_use_softmax_residual": False}, "gate_use_softmax_residual=False"),
    "another size": ({"size_experts_residual": [[7, 6], [8, 5]]}, r"weight_gate\.0 has the shape"),
    "sizes of one block": ({"size_experts_residual": [[7, 6]]}, "not a list of 2 sizes for each of 2 blocks"),
}


def test_refused_values(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name, (config, message) in VALUES.items():
        with subtests.test(name):
            check_refused(configured(NAME, tmp_path / name, **config), message)
