"""Stock models of transformers with our experts."""

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from sparsebench.models.moe import register_experts
from sparsebench.models.moe.experts import interface

TINY: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "num_experts_per_tok": 2,
    "max_position_embeddings": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
QWEN = {"num_experts": 4, "moe_intermediate_size": 20, "decoder_sparse_step": 1}
STOCK = {
    "mixtral": {"num_local_experts": 4},
    "qwen2_moe": QWEN | {"shared_expert_intermediate_size": 24},
    "qwen3_moe": QWEN,
    "olmoe": {"num_experts": 4},
}
OTHER = {"gpt_oss": {"num_local_experts": 4, "layer_types": ["full_attention"] * 2}}
"""Bias, transposed and interleaved weights."""


def stock(kind: str) -> Any:
    torch.manual_seed(0)  # transformers draws the weights from the global generator
    config = AutoConfig.for_model(kind, **TINY, **{**STOCK, **OTHER}[kind])
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


def tokens() -> torch.Tensor:
    return torch.randint(3, 50, (2, 9), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each layer that our code computes."""
    seen: list[int] = []
    ours = interface.run_experts

    def counted(x: torch.Tensor, *rest: Any) -> torch.Tensor:
        seen.append(len(x))
        return ours(x, *rest)

    monkeypatch.setattr(interface, "run_experts", counted)
    return seen


@pytest.mark.parametrize("kind", [*STOCK, *OTHER])
def test_logits_generation_and_gradients_are_those_of_eager(kind: str, calls: list[int]) -> None:
    name = register_experts()
    assert name == "sparsebench"
    model, ids = stock(kind), tokens()
    outs = {}
    for implementation in ("eager", name):
        model.set_experts_implementation(implementation)
        model.zero_grad()
        with torch.no_grad():
            logits = model(ids).logits
            text = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False)
        model(ids, labels=ids).loss.backward()
        gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
        outs[implementation] = logits, text, gradients
    assert bool(calls) is (kind in STOCK)
    (logits, text, gradients), (expected_logits, expected_text, expected_gradients) = outs[name], outs["eager"]
    torch.testing.assert_close(logits, expected_logits, atol=1e-5, rtol=1e-5)
    assert torch.equal(text, expected_text)
    torch.testing.assert_close(gradients, expected_gradients, atol=1e-6, rtol=1e-4)


def test_named_when_the_model_is_made(calls: list[int]) -> None:
    config = stock("mixtral").config
    model = AutoModelForCausalLM.from_config(config, experts_implementation=register_experts())
    with torch.no_grad():
        model(tokens())
    assert calls == [18, 18]
