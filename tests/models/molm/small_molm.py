"""Small models of one router each, with weights that decide."""

import torch

from sparsebench.models.molm import MoLMConfig, MoLMForCausalLM

SIZES = {
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


def small(router: str = "mlp", **changes: object) -> MoLMForCausalLM:
    """A random model, in eval mode."""
    torch.manual_seed(0)
    return MoLMForCausalLM(MoLMConfig(**SIZES | {"router": router} | changes)).eval()
