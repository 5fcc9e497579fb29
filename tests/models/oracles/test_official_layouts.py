"""Whole models from folders of the official code, their weights copied by name: LLaMA-MoE v1, and v2 with attention
experts."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers.cache_utils import DynamicCache

from sparsebench.models.moe import AttnMoEConfig, aux_loss, convert, preset

from .llama_moe_models import v1_gradients, v1_layer
from .oracle import FOLDER, Oracle, difference, rounding

V1, V2 = "llama_moe_v1", "llama_moe_v2_attention"
MODEL = rounding(products=21, terms=64)
"""Two layers of ten products (projections, attention, MLP router, expert), and the head."""
BACKWARD = rounding(products=42, terms=64)
CACHED = 8
"""Tokens before those that come one at a time."""
SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "rms_norm_eps",
    "rope_theta",
    "max_position_embeddings",
    "tie_word_embeddings",
    "pad_token_id",
)
SHARED = ("embed_tokens", "input_layernorm", "post_attention_layernorm", "model.norm", "lm_head")


def folder(name: str) -> tuple[dict[str, Any], Oracle, Oracle]:
    """Configuration, weights and what was recorded."""
    place = f"official_layouts/{name}"
    config = json.loads((FOLDER / place / "config.json").read_text(encoding="utf-8"))
    return config, Oracle(f"{place}/model.safetensors"), Oracle(f"{place}/expected.safetensors")


def dense(config: dict[str, Any], intermediate_size: int) -> Any:
    """A Llama of the sizes that the official configuration names."""
    given = {name: config[name] for name in SIZES if name in config}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**given, intermediate_size=intermediate_size)).eval()


def v1_model() -> tuple[Any, Oracle]:
    """The mixture, in eval mode, and what was recorded."""
    given, weights, recorded = folder(V1)
    model = dense(given, given["intermediate_size"])
    experts = {"num_experts": given["num_experts"], "top_k": given["num_selects"]}
    scale = {"scale": given["score_scale_factor"], "balance_coef": given["gate_balance_loss_weight"]}
    config = preset("llama_moe_v1_2of8", faithful=True, **experts, **scale)
    outside = (".mlp.", "rotary_emb")  # what is made below, and frequencies that follow from the configuration
    state = {name: weights[name] for name in weights if not any(part in name for part in outside)}
    missing, unknown = model.load_state_dict(state, strict=False)
    assert not unknown and all(".mlp." in name for name in missing)
    for index, layer in enumerate(model.model.layers):
        layer.mlp = v1_layer(weights.below(f"model.layers.{index}.mlp."), config, given["size_experts"][index])
    return model.eval(), recorded


@torch.no_grad()
def v2_model() -> tuple[Any, Oracle]:
    """The mixture, in eval mode, and what was recorded."""
    given, weights, recorded = folder(V2)
    experts = given["num_local_experts"]
    model = dense(given, experts * given["intermediate_size"])
    attention = AttnMoEConfig(
        num_experts=given["attn_experts"],
        top_k=given["top_k_attn"],
        scale=given["scale_factor_attn"],
        balance="switch",
        balance_coef=given["router_aux_loss_coef"],
        faithful=True,
    )
    config = preset(
        "llama_moe_v2_8top2",
        faithful=True,
        num_experts=experts,
        top_k=given["num_experts_per_tok"],
        scale=given["scale_factor"],
        balance_coef=given["router_aux_loss_coef"],
        attn=attention,
    )
    convert(model, config)
    state = {name: weights[name] for name in weights if any(part in name for part in SHARED)}
    assert not model.load_state_dict(state, strict=False).unexpected_keys
    used = set(state)
    for index, layer in enumerate(model.model.layers):
        stem = f"model.layers.{index}"
        used |= v2_attention(layer.self_attn, weights, f"{stem}.self_attn")
        used |= v2_experts(layer.mlp, weights, f"{stem}.block_sparse_moe")
    assert used == set(weights)
    return model, recorded


def v2_attention(layer: Any, weights: Oracle, stem: str) -> set[str]:
    """Copy the attention experts; the names of what was copied."""
    layer.router.weight.copy_(weights[f"{stem}.gate.weight"])
    names = [f"{stem}.gate.weight"]
    for expert in range(layer.heads.experts):
        *parts, out = (f"{stem}.{part}_proj.{expert}.weight" for part in "qkvo")
        layer.qkv[expert].copy_(torch.cat([weights[name] for name in parts]))
        layer.out[expert].copy_(weights[out])
        names += [*parts, out]
    return set(names)


def v2_experts(layer: Any, weights: Oracle, stem: str) -> set[str]:
    """Copy the experts of an FFN; the names of what was copied."""
    layer.router.weight.copy_(weights[f"{stem}.gate.weight"])
    names = [f"{stem}.gate.weight"]
    for expert in range(len(layer.experts.sizes)):
        gate, down, up = (f"{stem}.experts.{expert}.w{number}.weight" for number in (1, 2, 3))
        layer.experts.gate_up[expert].copy_(torch.cat([weights[gate], weights[up]]))
        layer.experts.down[expert].copy_(weights[down])
        names += [gate, down, up]
    return set(names)


MODELS = {V1: v1_model, V2: v2_model}


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_logits(name: str) -> None:
    model, recorded = MODELS[name]()
    ids, mask = recorded["input_ids"], recorded["attention_mask"]
    assert difference(model(ids).logits, recorded["logits"]) < MODEL
    real = mask.bool()
    assert 0 < int(real.sum()) < real.numel()
    padded = model(ids, attention_mask=mask).logits
    assert difference(padded[real], recorded["logits_padded"][real]) < MODEL


@torch.no_grad()
def test_cached_logits_of_attention_experts() -> None:
    model, recorded = v2_model()
    ids, cache, parts = recorded["input_ids"], DynamicCache(), []
    for start, stop in [(0, CACHED), *((at, at + 1) for at in range(CACHED, ids.shape[1]))]:
        parts.append(model(ids[:, start:stop], cache=cache, use_cache=True).logits)
    assert difference(torch.cat(parts, dim=1), recorded["logits_cached"]) < MODEL


def test_training_of_v1(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the recorded noise: logits, balance loss, loss, load, and gradients."""
    model, recorded = v1_model()
    noise = iter([recorded["train_noise.layer0"], recorded["train_noise.layer1"]])
    monkeypatch.setattr(torch, "randn_like", lambda logits: next(noise))
    model.train()
    ids = recorded["input_ids"]
    out = model(ids, labels=ids)
    assert difference(out.logits, recorded["train_logits"]) < MODEL
    balance = aux_loss(model)
    assert difference(balance[None], recorded["train_balance_loss"]) < MODEL
    loss = out.loss + balance
    assert difference(loss[None], recorded["train_loss"]) < MODEL
    loss.backward()
    found = {"model.embed_tokens.weight": model.model.embed_tokens.weight.grad}
    for index, layer in enumerate(model.model.layers):
        stem = f"model.layers.{index}.mlp."
        found |= {stem + name: gradient for name, gradient in v1_gradients(layer.mlp).items()}
    compare(found, recorded.below("train_grad."))


def test_training_of_v2() -> None:
    """Loss with the balance losses of FFN and attention, constants of which each counts once, and gradients."""
    model, recorded = v2_model()
    model.train()
    ids = recorded["input_ids"]
    out = model(ids, labels=ids)
    loss = out.loss + aux_loss(model) / len(model.model.layers)
    assert difference(loss[None], recorded["train_loss"]) < MODEL
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
        assert difference(found[name], wanted) < BACKWARD, name


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_a_changed_weight_is_seen(name: str) -> None:
    """A thousandth more of the experts of the last layer."""
    model, recorded = MODELS[name]()
    model.model.layers[-1].mlp.experts.gate_up.mul_(1.001)
    assert difference(model(recorded["input_ids"]).logits, recorded["logits"]) > MODEL
