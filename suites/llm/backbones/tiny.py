"""Llama with random weights: 2 layers, width 32, bytes as tokens (smoke test only)"""

import torch

from ..language.task import CausalLM
from ..small_models.byte_tokenizer import byte_tokenizer

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "blocks", "attention", "ffn", "causal")
DESCRIBERS = ("hf_decoder",)
DEVIATION = 0.05
"""Standard deviation of the normal distribution that the matrices are drawn from."""


def load(generator: torch.Generator, argument: str | None = None) -> CausalLM:
    """A fresh random model; `argument` is not used."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=8192,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, DEVIATION, generator=generator)
    return CausalLM(model.eval(), tokenizer)
