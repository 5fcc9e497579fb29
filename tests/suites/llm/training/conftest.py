"""Small decoders of every kind that packed rows have to pass through apart."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

from sparsebench.models.moe import MoEConfig, convert
from sparsebench.models.moe.attention.config import AttnMoEConfig

SIZES: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
MOE = MoEConfig(num_experts=4, top_k=2, balance="cv2", router_init="random")


def llama() -> Any:
    return LlamaForCausalLM(LlamaConfig(**SIZES))


def eager() -> Any:
    model = llama()
    model.set_attn_implementation("eager")
    return model


def mixtral() -> nn.Module:
    return MixtralForCausalLM(MixtralConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2))


def mixtral_with_router_logits() -> nn.Module:
    config = MixtralConfig(**SIZES, num_local_experts=4, num_experts_per_tok=2, output_router_logits=True)
    return MixtralForCausalLM(config)


def converted() -> nn.Module:
    return convert(llama(), MOE)


def attention_of_routed() -> nn.Module:
    return convert(llama(), MoEConfig(num_experts=4, top_k=2, attn=AttnMoEConfig(num_experts=4, top_k=3)))


def attention_of_all() -> nn.Module:
    attention = AttnMoEConfig(num_experts=4, top_k=3, mode="keep_kv", balance="cv2")
    return convert(llama(), MoEConfig(num_experts=4, top_k=2, attn=attention))


KINDS: dict[str, Callable[[], nn.Module]] = {
    "llama": llama,
    "eager": eager,
    "mixtral": mixtral,
    "mixtral with router logits": mixtral_with_router_logits,
    "converted": converted,
    "attention of routed tokens": attention_of_routed,
    "attention of all tokens": attention_of_all,
}


@pytest.fixture
def build() -> Callable[..., Any]:
    """`build(kind, dtype)`: a model of that kind, with weights large enough that tokens matter to each other."""

    def make(kind: str, dtype: torch.dtype = torch.float32) -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(3)  # transformers and conversions draw from the global generator
            model: Any = KINDS[kind]()
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.ndim > 1:
                        parameter.normal_(0, 0.2)
        if dtype == torch.float64 and kind.startswith("mixtral"):
            model.set_experts_implementation("eager")  # grouped products know no float64
        return model.eval().to(dtype)

    return make
