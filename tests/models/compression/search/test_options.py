"""What may become of a mixture: all combinations once, groups of routers kept equal, impossible spaces refused."""

from typing import Any

import pytest
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.search.options import Option, SearchSpace, options_of
from sparsebench.models.errors import ModelError

from ..slimming.mixtures import mixture


def experts(name: str) -> Any:
    mlp = describe(mixture(name)).blocks[-1].mlp
    assert mlp is not None
    return mlp.experts


def test_all_combinations_once() -> None:
    space = SearchSpace(experts=(0.75, 0.5, 0.45), widths=(0.5,), bits=(3,), layers=True)
    found = options_of(experts("mixtral"), space)
    assert found[0] == Option(4, 48) and found[-1] == Option(0, 0, None, dropped=True)
    # Half and 45 % of four experts are the same two; half of 48 neurons are 24.
    assert len(found) == len(set(found)) == 3 * 2 * 2 + 1
    assert {(one.experts, one.width) for one in found[:-1]} == {(n, w) for n in (4, 3, 2) for w in (48, 24)}


def test_widths_are_multiples_where_they_can_be() -> None:
    space = SearchSpace(experts=(), widths=(0.7, 0.01), bits=(), layers=False)
    assert [one.width for one in options_of(experts("mixtral"), space)] == [48, 32, 8]
    assert [one.width for one in options_of(experts("converted"), space)] == [13, 9, 1]


def test_groups_of_a_router_keep_equally_many() -> None:
    config = DeepseekV3Config(
        hidden_size=32, intermediate_size=48, moe_intermediate_size=16, num_hidden_layers=1, vocab_size=32,
        num_attention_heads=4, num_key_value_heads=4, n_routed_experts=8, n_group=2, topk_group=1,
        num_experts_per_tok=2, first_k_dense_replace=0, q_lora_rank=None, kv_lora_rank=16, qk_rope_head_dim=8,
        qk_nope_head_dim=8, v_head_dim=8, pad_token_id=0,
    )  # fmt: skip
    mlp = describe(DeepseekV3ForCausalLM(config)).blocks[0].mlp
    assert mlp is not None and mlp.experts is not None
    space = SearchSpace(experts=(0.75, 0.6, 0.1), widths=(), bits=(), layers=False)
    # Two of each group at least: its value is the sum of its two best.
    assert [one.experts for one in options_of(mlp.experts, space)] == [8, 6, 4]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"experts": (1.0,)}, "experts: a fraction of 1.0 must lie in"),
        ({"widths": (0.0,)}, "widths: a fraction of 0.0 must lie in"),
        ({"bits": (1,)}, "bits=1 must lie in 2..8"),
        ({"experts": (), "widths": (), "bits": (), "layers": False}, "nothing may change"),
    ],
)
def test_impossible_spaces(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        SearchSpace(**fields)
