"""Stock models of transformers with our experts."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from sparsebench.models.moe import register_experts
from sparsebench.models.moe.experts import interface

from ...compression.slimming.mixtures import mixture

STOCK = ("mixtral", "olmoe", "qwen2_moe", "qwen3_moe")
IDS = torch.randint(3, 50, (2, 9), generator=torch.Generator().manual_seed(1))


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


@pytest.mark.parametrize("kind", [*STOCK, "gpt_oss"])
def test_logits_generation_and_gradients_are_those_of_eager(
    kind: str, calls: list[int], build: Callable[[str], Any]
) -> None:
    """GPT-OSS has biases, transposed and interleaved weights, which ours do not compute."""
    name = register_experts()
    assert name == "sparsebench"
    model: Any = build(kind) if kind in STOCK else mixture(kind)
    outs = {}
    for implementation in ("eager", name):
        model.set_experts_implementation(implementation)
        model.zero_grad()
        with torch.no_grad():
            logits = model(IDS).logits
            text = model.generate(IDS, attention_mask=torch.ones_like(IDS), max_new_tokens=6, do_sample=False)
        model(IDS, labels=IDS).loss.backward()
        gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
        outs[implementation] = logits, text, gradients
    assert bool(calls) is (kind in STOCK)
    (logits, text, gradients), (expected_logits, expected_text, expected_gradients) = outs[name], outs["eager"]
    torch.testing.assert_close(logits, expected_logits, atol=1e-5, rtol=1e-5)
    assert torch.equal(text, expected_text)
    torch.testing.assert_close(gradients, expected_gradients, atol=1e-6, rtol=1e-4)


def test_named_when_the_model_is_made(calls: list[int], build: Callable[[str], Any]) -> None:
    config = build("mixtral").config
    model = AutoModelForCausalLM.from_config(config, experts_implementation=register_experts())
    with torch.no_grad():
        model(IDS)
    assert calls == [18, 18]
