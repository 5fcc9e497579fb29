"""Tiny converted decoders of every family and routing: the rows of the table of engines."""

import dataclasses
from typing import Any

import torch
import transformers
from torch import nn

from sparsebench.models.moe import MoEConfig, convert
from sparsebench.models.moe.layer import Alignment, MoEFFN

WIDTH = 64
SIZES = {
    "hidden_size": WIDTH,
    "intermediate_size": 118,  # neither a multiple of the number of experts nor of 8
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,  # which vLLM has attention kernels for
    "vocab_size": 64,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
    "rms_norm_eps": 1e-3,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "rope_theta": 500.0, "factor": 4.0, "original_max_position_embeddings": 16}
WINDOW = {"use_sliding_window": True, "sliding_window": 16}
TIED = {"tie_word_embeddings": True}
GRANITE = {"embedding_multiplier": 3.0, "residual_multiplier": 0.6, "attention_multiplier": 0.1, "logits_scaling": 2.0}
LONG_ROPE = {
    "max_position_embeddings": 64,
    "original_max_position_embeddings": 16,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 500.0,
        "short_factor": [1.0] * 16,
        "long_factor": [1.0 + 0.5 * i for i in range(16)],
        "original_max_position_embeddings": 16,
    },
}
UNNORMALISED = {"score": "softmax_topk", "renorm": False}


@dataclasses.dataclass(frozen=True)
class Case:
    """A dense model of a family with `changes` to `SIZES`, converted by `config`."""

    family: str
    config: MoEConfig
    changes: dict[str, Any] = dataclasses.field(default_factory=dict)
    gain: bool = False
    dtype: torch.dtype = torch.float32

    def model(self, vocabulary: int = SIZES["vocab_size"]) -> Any:
        """The same model at each call."""
        changes = self.changes | {"vocab_size": vocabulary}
        return tiny(self.family, changes, self.config, gain=self.gain, dtype=self.dtype)


def moe(**fields: Any) -> MoEConfig:
    return MoEConfig(num_experts=4, **fields)


CASES = {
    "Llama": Case("Llama", moe(scale="paper", noise="shazeer", balance="cv2", capacity=1.0)),
    "Llama, tied head": Case("Llama", moe(score="softmax_topk"), TIED),
    "Llama, rope scaling": Case("Llama", moe(), {"rope_parameters": LLAMA3_ROPE}),
    "Llama, YaRN": Case("Llama", moe(), {"rope_parameters": YARN}),
    "Llama, wide heads": Case("Llama", moe(), {"head_dim": 64}),
    "Llama, GELU": Case("Llama", moe(), {"hidden_act": "gelu"}),
    "Llama, gain": Case("Llama", moe(scale=1.7), gain=True),
    "Llama, top 1": Case("Llama", moe(top_k=1, score="none", scale=2.0)),
    "Llama, upcycled": Case("Llama", moe(split="whole", reinit=0.5, score="softmax_topk")),
    "Llama, shared": Case("Llama", moe(num_shared=1, scale="norm")),
    "Llama, shared, tied head": Case("Llama", moe(num_shared=2, scale=0.7), TIED),
    "Llama, shared, rope scaling": Case("Llama", moe(num_shared=1), {"rope_parameters": LLAMA3_ROPE}),
    "Llama, shared, wide heads": Case("Llama", moe(num_shared=1), {"head_dim": 64}),
    "Llama, half of the neurons": Case("Llama", MoEConfig(num_shared=3, top_k=1, score="none")),
    "Llama, not renormalised": Case("Llama", moe(**UNNORMALISED)),
    "Llama, not renormalised, shared, tied head": Case("Llama", moe(**UNNORMALISED, num_shared=1), TIED),
    "Llama, not renormalised, rope scaling": Case("Llama", moe(**UNNORMALISED), {"rope_parameters": LLAMA3_ROPE}),
    "Llama, not renormalised, wide heads": Case("Llama", moe(**UNNORMALISED), {"head_dim": 64}),
    "Llama, dense first": Case("Llama", moe(layers=(1, 2))),
    "Llama, dense between": Case("Llama", moe(layers=(0, 2))),
    "Llama, all biases": Case("Llama", moe(), {"attention_bias": True}),
    "Llama, all biases, shared": Case("Llama", moe(num_shared=2), {"attention_bias": True}),
    "Llama, sigmoid": Case("Llama", moe(score="sigmoid")),
    "Llama, sigmoid, shared": Case("Llama", moe(score="sigmoid", num_shared=2)),
    "Llama, sigmoid, bias on the choice": Case(
        "Llama", moe(score="sigmoid", balance="bias", densemixer=True, z_coef=0.1)
    ),
    "Mistral": Case("Mistral", moe(), {"sliding_window": None}),
    "Mistral, window": Case("Mistral", moe(), {"sliding_window": 16}),
    "Mistral, window, shared": Case("Mistral", moe(num_shared=2, scale=0.7), {"sliding_window": 16}, gain=True),
    "Qwen2": Case("Qwen2", moe(), TIED),
    "Qwen2, shared": Case("Qwen2", moe(num_shared=2, scale=0.7), gain=True),
    "Qwen2, not renormalised, shared": Case("Qwen2", moe(num_shared=1, **UNNORMALISED)),
    "Qwen2, some windows, shared": Case("Qwen2", moe(num_shared=1), WINDOW | {"max_window_layers": 1}),
    "Qwen2, sigmoid, shared, dense first": Case(
        "Qwen2", moe(score="sigmoid", renorm=False, num_shared=2, layers=(1, 2))
    ),
    "Qwen3": Case("Qwen3", moe(scale="paper"), TIED),
    "Qwen3, wide heads": Case("Qwen3", moe(), {"head_dim": 64}),
    "Qwen3, rope scaling": Case("Qwen3", moe(), {"rope_parameters": LLAMA3_ROPE}),
    "Qwen3, not renormalised": Case("Qwen3", moe(**UNNORMALISED)),
    "Qwen3, window, all biases, dense between": Case(
        "Qwen3",
        moe(**UNNORMALISED, layers=(1,)),
        WINDOW | {"max_window_layers": 0, "attention_bias": True},
    ),
    "Qwen3, shared": Case("Qwen3", moe(num_shared=1), TIED),
    "Qwen3, shared, all biases, dense first": Case(
        "Qwen3", moe(num_shared=1, layers=(1, 2), scale="norm"), {"attention_bias": True}, gain=True
    ),
    "Qwen3, sigmoid, shared": Case("Qwen3", moe(score="sigmoid", num_shared=1, scale="norm"), gain=True),
    "Qwen3, sigmoid, shared, some windows": Case(
        "Qwen3", moe(score="sigmoid", num_shared=1), WINDOW | TIED | {"max_window_layers": 1, "attention_bias": True}
    ),
    "Granite": Case("Granite", moe(), GRANITE),
    "Granite, shared": Case("Granite", moe(num_shared=1, scale="norm"), GRANITE | TIED),
    "Granite, not renormalised, shared": Case(
        "Granite", moe(**UNNORMALISED, num_shared=1, scale=0.7), GRANITE | TIED, gain=True
    ),
    "Granite, sigmoid, dense first": Case("Granite", moe(score="sigmoid", layers=(1, 2), scale=2.0), GRANITE),
    "Gemma": Case("Gemma", moe(), TIED),
    "Gemma, shared, wide heads": Case("Gemma", moe(num_shared=1), TIED | {"head_dim": 64}),
    "Gemma, not renormalised, dense first": Case("Gemma", moe(**UNNORMALISED, layers=(1, 2)), TIED),
    "Phi-3": Case("Phi3", moe()),
    "Phi-3, window": Case("Phi3", moe(), {"sliding_window": 16}),
    "Phi-3, dense between, shared": Case("Phi3", moe(num_shared=1, layers=(0, 2)), {"num_key_value_heads": 2}),
    "Phi-3, rope scaling": Case("Phi3", moe(), LONG_ROPE),
    "OLMo 2": Case("Olmo2", moe(scale="paper")),
    "OLMo 2, not renormalised, all biases": Case("Olmo2", moe(**UNNORMALISED), TIED | {"attention_bias": True}),
    "OLMo 2, shared": Case("Olmo2", moe(num_shared=1)),
    "SmolLM3, rotary positions everywhere": Case("SmolLM3", moe(num_shared=1), {"no_rope_layers": [1, 1, 1]}),
    "SmolLM3": Case("SmolLM3", moe(), {"no_rope_layers": [1, 1, 0]}),
    "OLMo 3": Case("Olmo3", moe(), {"sliding_window": 16}),
    "GLM-4": Case("Glm4", moe()),
    "Gemma 2": Case("Gemma2", moe(), TIED),
    "Gemma 3": Case("Gemma3Text", moe(), TIED),
    "StableLM": Case("StableLm", moe()),
}
HALVED = {
    "Llama, bfloat16": Case("Llama", moe(scale=1.7), dtype=torch.bfloat16),
    "Qwen3, shared, bfloat16": Case("Qwen3", moe(num_shared=1), dtype=torch.bfloat16),
}
"""Where tokens near a tie of two experts may go to the other one."""


def tiny(
    family: str,
    changes: dict[str, Any],
    config: MoEConfig,
    *,
    gain: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Any:
    """A converted model whose parameters, norms and biases included, are all different."""
    base = getattr(transformers, f"{family}Config")(**SIZES | changes, dtype=dtype)
    generator = torch.Generator().manual_seed(0)
    model = getattr(transformers, f"{family.removesuffix('Text')}ForCausalLM")._from_config(base).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.mean().round() + 0.2 * torch.randn(parameter.shape, generator=generator))
        convert(model, config)
        for layer in mixtures(model):
            layer.router.weight.normal_(generator=generator)
            if layer.router.choice_bias is not None:
                layer.router.choice_bias.value.normal_(std=0.2, generator=generator)
            if gain:
                layer.alignment = Alignment(torch.rand(WIDTH, generator=generator) + 0.5, torch.zeros(WIDTH))
    return model


def mixtures(model: nn.Module) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, MoEFFN)]
