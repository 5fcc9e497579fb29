"""Small models of one router each, with weights that decide."""

from typing import Any

import torch

from sparsebench.models.molm import MoLMConfig, MoLMForCausalLM

SIZES: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "attention_size": 8,
    "num_attention_experts": 4,
    "intermediate_size": 10,
    "num_experts": 5,
    "router_size": 6,
    "initializer_range": 0.4,
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def sizes(**changes: Any) -> MoLMConfig:
    """A configuration."""
    return MoLMConfig(**SIZES | changes)


def small(**changes: Any) -> MoLMForCausalLM:
    """A random model, in eval mode."""
    torch.manual_seed(0)
    return MoLMForCausalLM(sizes(**changes)).eval()
