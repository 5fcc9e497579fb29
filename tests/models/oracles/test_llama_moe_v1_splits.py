"""Splits by importance of LLaMA-MoE v1 against what its official code chose."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sparsebench.models.moe.splits.by_importance import deal, top
from sparsebench.models.moe.splits.residual import most_wanted

from ..agreement import agree
from .oracle import Oracle

ORACLE = Oracle("llama_moe_v1.safetensors")
GRADIENT = [(4, 48), (8, 48), (8, 64)]
"""Experts and neurons."""
RESIDUAL = [(1, 7, 6), (2, 6, 8), (2, 14, 4)]
"""Shared blocks, experts, and neurons of each."""


def ascending(rows: Tensor) -> Tensor:
    return rows.sort(dim=1).values


def labels(experts: tuple[Tensor, ...], neurons: int) -> Tensor:
    """The expert of each neuron."""
    found = torch.full((neurons,), -1)
    for expert, members in enumerate(experts):
        found[members] = expert
    return found


@pytest.mark.parametrize(("experts", "neurons"), GRADIENT)
def test_exclusive(experts: int, neurons: int) -> None:
    """Greedy, from the most important neurons down, and as a control from the least important ones up."""
    stem = f"split.gradient.{experts}x{neurons}"
    score, sizes = ORACLE[f"{stem}.importance"], [neurons // experts] * experts
    most, least = (deal(sign * score, torch.arange(neurons), sizes) for sign in (1, -1))
    agree(labels(most, neurons), ORACLE[f"{stem}.exclusive_labels"], "choices")
    agree(labels(least, neurons), ORACLE[f"{stem}.exclusive_min_labels"], "choices")


@pytest.mark.parametrize(("experts", "neurons"), GRADIENT)
def test_sharing(experts: int, neurons: int) -> None:
    stem = f"split.gradient.{experts}x{neurons}"
    found = top(ORACLE[f"{stem}.importance"], torch.arange(neurons), [neurons // experts] * experts)
    agree(torch.stack(list(found)), ascending(ORACLE[f"{stem}.sharing_indices"]), "choices")


@pytest.mark.parametrize("kind", ["exclusive", "sharing"])
@pytest.mark.parametrize(("shared", "experts", "size"), RESIDUAL)
def test_residual(shared: int, experts: int, size: int, kind: str) -> None:
    """The shared block is one of ours and several of theirs."""
    stem, sizes = f"split.residual.{shared}+{experts}x{size}", [size] * experts
    score, wanted = ORACLE[f"{stem}.importance"], ORACLE[f"{stem}.{kind}_indices"]
    block = most_wanted(score, shared * size, sizes)
    agree(block, wanted[:shared].flatten().sort().values, "choices")
    pool = torch.arange(score.shape[1])
    rest = pool[~torch.isin(pool, block)]
    fill = deal if kind == "exclusive" else top
    agree(torch.stack(list(fill(score, rest, sizes))), ascending(wanted[shared:]), "choices")


def test_another_importance_is_seen() -> None:
    """The best neuron of the first expert, made the worst, goes elsewhere."""
    stem = "split.gradient.8x48"
    score = ORACLE[f"{stem}.importance"]
    score[0, score[0].argmax()] = -1
    assert not torch.equal(labels(deal(score, torch.arange(48), [6] * 8), 48), ORACLE[f"{stem}.exclusive_labels"])
