"""Attention experts of LLaMA-MoE v2 against what their official code computed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from transformers.cache_utils import DynamicCache
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding

from sparsebench.models.moe.attention.config import AttnMoEConfig
from sparsebench.models.moe.attention.convert_attention import convert_attention
from sparsebench.models.moe.attention.layer import AttentionMoE
from sparsebench.models.moe.routing.balance import balance_loss
from sparsebench.models.moe.routing.config import RoutingConfig

from ..agreement import agree
from .oracle import Oracle, difference, rounding

ORACLE = Oracle("llama_moe_v2.safetensors")
CASES: dict[str, dict[str, Any]] = ORACLE.about["attention"]
FORWARD = rounding(products=5, terms=32)
"""Router, projections, scores, values and output."""
BACKWARD = rounding(products=10, terms=32)
WIDTH, TOKENS, CACHED = 32, 12, 7
MATRICES = ("q_proj", "k_proj", "v_proj")


def model_config(case: str) -> transformers.LlamaConfig:
    given = CASES[case]
    return transformers.LlamaConfig(
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=1,
        num_attention_heads=given["num_attention_heads"],
        num_key_value_heads=given["num_key_value_heads"],
        head_dim=given["head_dim"],
        rope_theta=given["rope_theta"],
        attn_implementation="eager",
        vocab_size=8,
    )


def configuration(case: str) -> AttnMoEConfig:
    given = CASES[case]
    return AttnMoEConfig(
        num_experts=given["experts"],
        top_k=given["top_k"],
        scale=given["scale_factor_attn"],
        score="softmax_topk",
        renorm=True,
        balance="switch",
        faithful=True,
    )


def layer(case: str) -> AttentionMoE:
    """The experts with the recorded weights, in eval mode."""
    model = transformers.LlamaForCausalLM(model_config(case)).eval()
    convert_attention(model, configuration(case))
    made, weights = model.model.layers[0].self_attn, ORACLE.below(f"attn.{case}.weights.")
    experts = range(CASES[case]["experts"])
    with torch.no_grad():
        made.router.weight.copy_(weights["gate.weight"])
        for expert in experts:
            made.qkv[expert].copy_(torch.cat([weights[f"{name}.{expert}.weight"] for name in MATRICES]))
            made.out[expert].copy_(weights[f"o_proj.{expert}.weight"])
    return made


def rope(case: str, start: int, stop: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of these positions."""
    return LlamaRotaryEmbedding(model_config(case))(torch.zeros(1), torch.arange(start, stop)[None])


def causal(mask: Tensor) -> Tensor:
    """What each token of a padded batch sees, bool (B, 1, S, S)."""
    return mask.bool()[:, None, None] & torch.ones(mask.shape[1], mask.shape[1], dtype=torch.bool).tril()


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_full(case: str) -> None:
    made, x = layer(case), ORACLE[f"attn.{case}.x"]
    y, _ = made(x, rope(case, 0, TOKENS))
    agree(y, ORACLE[f"attn.{case}.y"], "outputs", within=FORWARD)
    logits = made.router(x.flatten(0, 1)).logits
    agree(logits, ORACLE[f"attn.{case}.router_logits"].flatten(0, -2), "logits", within=FORWARD)


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_padded(case: str) -> None:
    """Only real tokens count."""
    mask = ORACLE[f"attn.{case}.attention_mask"]
    real = mask.bool()
    assert 0 < int(real.sum()) < real.numel()
    y, _ = layer(case)(ORACLE[f"attn.{case}.x"], rope(case, 0, TOKENS), causal(mask))
    agree(y[real], ORACLE[f"attn.{case}.y_padded"][real], "outputs", within=FORWARD)


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_cached(case: str) -> None:
    """Seven tokens, then one at a time."""
    made, x, cache = layer(case), ORACLE[f"attn.{case}.x"], DynamicCache()
    parts = []
    for start, stop in [(0, CACHED), *((at, at + 1) for at in range(CACHED, TOKENS))]:
        y, _ = made(x[:, start:stop], rope(case, start, stop), past_key_values=cache)
        parts.append(y)
    agree(torch.cat(parts, dim=1), ORACLE[f"attn.{case}.y_cached"], "outputs", within=FORWARD)


@pytest.mark.parametrize("case", CASES)
def test_training(case: str) -> None:
    """Output, balance loss, and gradients of input and router."""
    made, x = layer(case).train(), ORACLE[f"attn.{case}.x"].requires_grad_()
    y, _ = made(x, rope(case, 0, TOKENS))
    agree(y, ORACLE[f"attn.{case}.train.y"], "outputs", within=FORWARD)
    config = RoutingConfig(balance="switch", balance_coef=1.0, faithful=True)
    constant = balance_loss(config, made.router(x.flatten(0, 1)))
    agree(constant[None], ORACLE[f"attn.{case}.load_balancing_loss"], "losses", within=FORWARD)
    (y * ORACLE[f"attn.{case}.cotangent"]).sum().backward()
    assert x.grad is not None and made.router.weight.grad is not None
    agree(x.grad, ORACLE[f"attn.{case}.train.grad.x"], "gradients", within=BACKWARD)
    recorded, found = ORACLE[f"attn.{case}.train.grad.gate.weight"], made.router.weight.grad
    if CASES[case]["top_k"] == 1:  # its weight is 1 whatever the router says: only rounding is left
        assert max(recorded.abs().max(), found.abs().max()) < BACKWARD * x.grad.abs().max()
    else:
        agree(found, recorded, "gradients", within=BACKWARD)


def test_experts_of_a_dense_layer() -> None:
    """Our conversion deals the heads out as theirs does."""
    case = "2top1_from_dense"
    model = transformers.LlamaForCausalLM(model_config(case))
    dense = model.model.layers[0].self_attn
    assert isinstance(dense, LlamaAttention)
    dense.load_state_dict(ORACLE.below(f"attn.{case}.dense."))
    convert_attention(model, configuration(case))
    made, wanted = model.model.layers[0].self_attn, layer(case)
    agree(made.qkv, wanted.qkv, "tensors")
    agree(made.out, wanted.out, "tensors")


@pytest.mark.parametrize("part", ["router", "qkv", "out"])
@torch.no_grad()
def test_a_changed_weight_is_seen(part: str) -> None:
    case = "4top3"
    made = layer(case)
    weight = made.router.weight if part == "router" else getattr(made, part)
    weight.mul_(1.001)
    y, _ = made(ORACLE[f"attn.{case}.x"], rope(case, 0, TOKENS))
    assert difference(y, ORACLE[f"attn.{case}.y"]) > 10 * FORWARD
