"""Small mixtures of transformers: two blocks of width 32."""

import transformers
from torch import nn

COMMON = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 64,
    "num_experts_per_tok": 2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
DEEPSEEK = {
    "n_routed_experts": 4,
    "n_group": 1,
    "topk_group": 1,
    "moe_intermediate_size": 16,
    "first_k_dense_replace": 1,
    "n_shared_experts": 1,
    "q_lora_rank": None,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}


def stock(family: str, **extra: object) -> nn.Module:
    """A model of transformers of this family, with random weights."""
    config = getattr(transformers, f"{family}Config")(**(COMMON | extra))
    return getattr(transformers, f"{family}ForCausalLM")(config)


def noise_routers(model: nn.Module) -> None:
    """Give routers weights, and all biases values, that show in what they choose and compute."""
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if "bias" in name or name.endswith(("gate.weight", "router.weight")):
            nn.init.normal_(tensor, 0, 0.5)
