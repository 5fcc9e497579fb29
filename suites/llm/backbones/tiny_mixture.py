"""OLMoE or, as `tiny_mixture:qwen2_moe`, Qwen2-MoE with random weights: 2 layers, 4 experts, bytes (smoke test only)

Stock mixtures of transformers, with the balance loss of their own: top 2 of 4 experts in each block; Qwen2-MoE has a
shared expert as well.
"""

from typing import Any

import torch

from ..language.task import CausalLM
from ..small_models.byte_tokenizer import byte_tokenizer

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "blocks", "attention", "experts", "causal")
DESCRIBERS = ("hf_mixture",)
DEVIATION = 0.05
"""Standard deviation of the normal distribution that the matrices are drawn from."""
KINDS = ("olmoe", "qwen2_moe")


def load(generator: torch.Generator, argument: str | None = None) -> CausalLM:
    """A fresh random model of the kind `argument`, by default the first. Raises ValueError for another kind."""
    from transformers import OlmoeConfig, OlmoeForCausalLM, Qwen2MoeConfig, Qwen2MoeForCausalLM

    tokenizer = byte_tokenizer()
    sizes: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "max_position_embeddings": 8192,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    kind = argument or KINDS[0]
    model: Any
    if kind == "olmoe":
        model = OlmoeForCausalLM(OlmoeConfig(**sizes))
    elif kind == "qwen2_moe":
        config = Qwen2MoeConfig(**sizes, moe_intermediate_size=32, shared_expert_intermediate_size=32)
        model = Qwen2MoeForCausalLM(config)
    else:
        raise ValueError(f"backbone 'tiny_mixture' knows no {kind!r}: take one of {', '.join(KINDS)}")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, DEVIATION, generator=generator)
    return CausalLM(model.eval(), tokenizer)
