"""What holds for every text mixture is checked in `tests/models/zoo/test_text_mixtures.py`."""

from typing import Any

import pytest
import transformers
from torch import nn

from sparsebench.models.anatomy import InterleavedExperts, describe

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 32,
    "pad_token_id": 0,
    "eos_token_id": 1,
}
DEEPSEEK = {
    "n_routed_experts": 4,
    "n_group": 2,
    "topk_group": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 10,
    "first_k_dense_replace": 1,
    "q_lora_rank": 6,
    "kv_lora_rank": 5,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 3,
    "v_head_dim": 5,
}


def bare(family: str, **extra: Any) -> nn.Module:
    config = getattr(transformers, f"{family}Config")(**(SIZES | extra))
    return getattr(transformers, f"{family}Model")(config)


@pytest.mark.parametrize("rank", [None, 6])
def test_latent_attention_and_dense_first_blocks(rank: int | None) -> None:
    first, second = describe(bare("DeepseekV3", **(DEEPSEEK | {"q_lora_rank": rank}))).blocks
    attention = second.attention
    assert attention is not None and attention.prefixed is None and attention.head_dim == 7
    assert (attention.q is None) == (rank is not None) and attention.k is None
    assert len(attention.latent) == (2 if rank is None else 4)
    assert first.mlp is not None and (first.mlp.kind, first.mlp.hidden) == ("gated", 12)
    assert second.mlp is not None and second.mlp.experts is not None and second.mlp.hidden == 10
    assert second.mlp.experts.groups == 2 and second.mlp.experts.shared is not None
    assert [site.path.rpartition(".")[2] for site in second.linears[-3:]] == ["gate_proj", "up_proj", "down_proj"]


def test_gpt_oss_returns_a_tuple() -> None:
    mlp = describe(bare("GptOss", num_local_experts=4, num_key_value_heads=2)).blocks[0].mlp
    assert mlp is not None and mlp.returns_tuple and isinstance(mlp.experts, InterleavedExperts)
    assert mlp.experts.router.path == "layers.0.mlp.router" and mlp.activation is None


@pytest.mark.parametrize(("shared", "linears"), [(0, 4), (14, 6)])
def test_the_shared_ffn_of_granite_stands_in_the_block(shared: int, linears: int) -> None:
    model = bare("GraniteMoeShared", num_local_experts=4, shared_intermediate_size=shared, num_key_value_heads=2)
    block = describe(model).blocks[0]
    assert block.mlp is not None and block.mlp.experts is not None and len(block.linears) == linears
    assert (block.mlp.experts.shared is not None) == (shared > 0)
