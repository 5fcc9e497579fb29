"""Choices that two routers have in common, and those that noise leaves as they are, counted by hand."""

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from sparsebench.models.moe import MoEConfig, convert
from sparsebench.models.moe.routing.agreement import kept_choices, noise_watch
from sparsebench.models.moe.routing.noise import scale_noise

SIZES: dict[str, Any] = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}


def test_choices_in_common_are_those_of_two_sets() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.rand(50, 6, generator=generator).argsort(-1)[:, :3] for _ in range(2))
    one[0] = 6  # a token that goes nowhere
    other[0] = 6
    by_hand = [len(set(first) & set(second) - {6}) for first, second in zip(one.tolist(), other.tolist(), strict=True)]
    assert kept_choices(one, other, 6).tolist() == by_hand
    assert kept_choices(one[1:], one[1:].flip(-1), 6).tolist() == [3] * 49
    with pytest.raises(ValueError, match=r"\(50, 3\) and \(50, 2\) are not of the same tokens"):
        kept_choices(one, other[:, :2], 6)


def test_noise_far_above_the_logits_decides_alone_and_none_keeps_all() -> None:
    """Logits of a random router are small: of two among four experts noise of 0.7 keeps about half."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES, num_attention_heads=4))
    config = MoEConfig(num_experts=4, top_k=2, noise="shazeer", balance="cv2", router_init="random")
    model = convert(model, config).train()
    ids = torch.randint(32, (8, 64), generator=torch.Generator().manual_seed(1))
    found = []
    for factor in (1.0, 1e-6, 0.0):
        scale_noise(model, factor)
        with noise_watch(model) as seen:
            model(ids)
        found.append(seen)
    model(ids)
    assert [seen.choices for seen in found] == [2 * 512 * 2, 2 * 512 * 2, 0]
    kept = found[0].kept / found[0].choices
    assert 0.45 < kept < 0.65, "by chance 0.5, and a little more since the logits are not 0"
    assert found[1].kept / found[1].choices > 0.99
