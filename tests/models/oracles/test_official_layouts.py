"""Whole mixtures from folders of the official code: LLaMA-MoE v1; v2, with a residual block, with attention experts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from sparsebench.models.moe import aux_loss
from sparsebench.models.official import from_official

from ..agreement import agree
from .llama_moe_models import v1_gradients
from .oracle import FOLDER, Oracle, difference, rounding

V1, V2 = "llama_moe_v1", "llama_moe_v2_attention"
MODEL = rounding(products=21, terms=64)
"""Two layers of ten products (projections, attention, MLP router, expert), and the head."""
BACKWARD = rounding(products=42, terms=64)
CACHED = 8
"""Tokens before those that come one at a time."""


def imported(name: str) -> tuple[Any, Oracle]:
    """The mixture, in eval mode, and what was recorded."""
    place = f"official_layouts/{name}"
    return from_official(FOLDER / place), Oracle(f"{place}/expected.safetensors")


MODELS = (V1, V2, "llama_moe_v2", "llama_moe_v2_residual")


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_logits(name: str) -> None:
    model, recorded = imported(name)
    ids, mask = recorded["input_ids"], recorded["attention_mask"]
    agree(model(ids).logits, recorded["logits"], "logits", within=MODEL)
    real = mask.bool()
    assert 0 < int(real.sum()) < real.numel()
    padded = model(ids, attention_mask=mask).logits
    agree(padded[real], recorded["logits_padded"][real], "logits", within=MODEL)


@torch.no_grad()
def test_cached_logits_of_attention_experts() -> None:
    model, recorded = imported(V2)
    ids, cache, parts = recorded["input_ids"], DynamicCache(), []
    for start, stop in [(0, CACHED), *((at, at + 1) for at in range(CACHED, ids.shape[1]))]:
        parts.append(model(ids[:, start:stop], cache=cache, use_cache=True).logits)
    agree(torch.cat(parts, dim=1), recorded["logits_cached"], "logits", within=MODEL)


def test_training_of_v1(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the recorded noise: logits, balance loss, loss, load, and gradients."""
    model, recorded = imported(V1)
    noise = iter([recorded["train_noise.layer0"], recorded["train_noise.layer1"]])
    monkeypatch.setattr(torch, "randn_like", lambda logits: next(noise))
    model.train()
    ids = recorded["input_ids"]
    out = model(ids, labels=ids)
    agree(out.logits, recorded["train_logits"], "logits", within=MODEL)
    balance = aux_loss(model)
    agree(balance[None], recorded["train_balance_loss"], "losses", within=MODEL)
    loss = out.loss + balance
    agree(loss[None], recorded["train_loss"], "losses", within=MODEL)
    loss.backward()
    found = {"model.embed_tokens.weight": model.model.embed_tokens.weight.grad}
    for index, layer in enumerate(model.model.layers):
        stem = f"model.layers.{index}.mlp."
        found |= {stem + name: gradient for name, gradient in v1_gradients(layer.mlp).items()}
    compare(found, recorded.below("train_grad."))


def test_training_of_v2() -> None:
    """Loss with the balance losses of FFN and attention, constants of which each counts once, and gradients."""
    model, recorded = imported(V2)
    model.train()
    ids = recorded["input_ids"]
    out = model(ids, labels=ids)
    loss = out.loss + aux_loss(model) / len(model.model.layers)
    agree(loss[None], recorded["train_loss"], "losses", within=MODEL)
    loss.backward()
    found: dict[str, Tensor] = {}
    for index, layer in enumerate(model.model.layers):
        stem = f"model.layers.{index}"
        found[f"{stem}.self_attn.gate.weight"] = layer.self_attn.router.weight.grad
        found[f"{stem}.block_sparse_moe.gate.weight"] = layer.mlp.router.weight.grad
        for expert, gradient in enumerate(layer.mlp.experts.down.grad):
            found[f"{stem}.block_sparse_moe.experts.{expert}.w2.weight"] = gradient
        heads = layer.self_attn.heads
        rows = layer.self_attn.qkv.grad.split([part * heads.size for part in (heads.query, 1, 1)], dim=1)
        for part, gradients in zip("qkv", rows, strict=True):
            for expert, gradient in enumerate(gradients):
                found[f"{stem}.self_attn.{part}_proj.{expert}.weight"] = gradient
        for expert, gradient in enumerate(layer.self_attn.out.grad):
            found[f"{stem}.self_attn.o_proj.{expert}.weight"] = gradient
    compare(found, recorded.below("train_grad."))


def compare(found: dict[str, Tensor], recorded: dict[str, Tensor]) -> None:
    assert len(recorded) >= 5
    for name, wanted in recorded.items():
        agree(found[name], wanted, "gradients", within=BACKWARD, where=name)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_a_changed_weight_is_seen(name: str) -> None:
    """A thousandth more of the experts of the last layer."""
    model, recorded = imported(name)
    model.model.layers[-1].mlp.experts.gate_up.mul_(1.001)
    assert difference(model(recorded["input_ids"]).logits, recorded["logits"]) > MODEL
