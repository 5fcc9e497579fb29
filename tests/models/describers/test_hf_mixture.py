"""What holds for every text mixture is checked in `tests/models/zoo/test_text_mixtures.py`."""

from typing import Any

import pytest

from sparsebench.models.anatomy import InterleavedExperts, describe

from ..stock_mixtures import DEEPSEEK, stock


@pytest.mark.parametrize("rank", [None, 6])
def test_latent_attention_and_dense_first_blocks(rank: int | None) -> None:
    sizes: dict[str, Any] = DEEPSEEK | {"n_group": 2, "q_lora_rank": rank, "qk_nope_head_dim": 3}
    first, second = describe(stock("DeepseekV3", **sizes)).blocks
    attention = second.attention
    assert attention is not None and attention.prefixed is None and attention.head_dim == 3 + 8
    assert (attention.q is None) == (rank is not None) and attention.k is None
    assert len(attention.latent) == (2 if rank is None else 4)
    assert first.mlp is not None and (first.mlp.kind, first.mlp.hidden) == ("gated", 48)
    assert second.mlp is not None and second.mlp.experts is not None and second.mlp.hidden == 16
    assert second.mlp.experts.groups == 2 and second.mlp.experts.shared is not None
    assert [site.path.rpartition(".")[2] for site in second.linears[-3:]] == ["gate_proj", "up_proj", "down_proj"]


def test_gpt_oss_returns_a_tuple() -> None:
    mlp = describe(stock("GptOss", num_local_experts=4)).blocks[0].mlp
    assert mlp is not None and mlp.returns_tuple and isinstance(mlp.experts, InterleavedExperts)
    assert mlp.experts.router.path == "model.layers.0.mlp.router" and mlp.activation is None


@pytest.mark.parametrize(("shared", "linears"), [(0, 4), (14, 6)])
def test_the_shared_ffn_of_granite_stands_in_the_block(shared: int, linears: int) -> None:
    block = describe(stock("GraniteMoeShared", num_local_experts=4, shared_intermediate_size=shared)).blocks[0]
    assert block.mlp is not None and block.mlp.experts is not None and len(block.linears) == linears
    assert (block.mlp.experts.shared is not None) == (shared > 0)
