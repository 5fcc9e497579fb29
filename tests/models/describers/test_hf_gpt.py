"""What holds for every text family is checked in `tests/models/zoo/test_text.py`."""

import pytest
import torch
from transformers import GPT2Config, GPT2Model, GPTNeoXConfig, GPTNeoXForCausalLM, OPTConfig, OPTModel

from sparsebench.models.anatomy import describe


@pytest.fixture(scope="module")
def neox() -> GPTNeoXForCausalLM:
    sizes = {"hidden_size": 16, "intermediate_size": 22, "num_hidden_layers": 2, "num_attention_heads": 4}
    return GPTNeoXForCausalLM(GPTNeoXConfig(**sizes, vocab_size=32)).eval()


def test_names(neox: GPTNeoXForCausalLM) -> None:
    anatomy = describe(neox)
    assert [site.path for site in anatomy.embeddings] == ["gpt_neox.embed_in"]
    assert anatomy.final_norm is not None and anatomy.final_norm.path == "gpt_neox.final_layer_norm"
    assert anatomy.head is not None and anatomy.head.path == "lm_head"
    assert [site.path.partition("layers.1.")[2] for site in anatomy.blocks[1].linears] == [
        "attention.query_key_value",
        "attention.dense",
        "mlp.dense_h_to_4h",
        "mlp.dense_4h_to_h",
    ]


def test_the_rows_of_neox_lie_head_by_head(neox: GPTNeoXForCausalLM) -> None:
    """The keys that the attention caches are rows h, of q, k and v, of each head: no rotation at position 0."""
    attention = describe(neox).blocks[0].attention
    assert attention is not None and attention.qkv is not None and attention.interleaved
    x = torch.randn(1, 1, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        cache = neox(inputs_embeds=x, use_cache=True).past_key_values
        heads = attention.qkv.get()(neox.gpt_neox.layers[0].input_layernorm(x)).view(4, 3, 4)
    torch.testing.assert_close(cache.layers[0].keys[0, :, 0], heads[:, 1])
    torch.testing.assert_close(cache.layers[0].values[0, :, 0], heads[:, 2])


def test_the_layers_of_gpt2_have_their_weights_the_other_way_round() -> None:
    block = describe(GPT2Model(GPT2Config(n_embd=16, n_inner=22, n_layer=1, n_head=4, vocab_size=32))).blocks[0]
    assert block.mlp is not None and (block.mlp.width, block.mlp.hidden) == (16, 22)
    assert block.attention is not None and block.attention.qkv is not None and not block.attention.interleaved


def test_a_gpt2_that_decodes_what_an_encoder_has_read() -> None:
    config = GPT2Config(n_embd=16, n_layer=1, n_head=4, vocab_size=32, add_cross_attention=True)
    paths = [site.path for site in describe(GPT2Model(config)).blocks[0].linears]
    assert [path for path in paths if "crossattention" in path] == [
        f"h.0.crossattention.{name}" for name in ("q_attn", "c_attn", "c_proj")
    ]


def test_the_ffn_of_opt_is_three_modules_of_the_block() -> None:
    config = OPTConfig(hidden_size=16, ffn_dim=22, num_hidden_layers=1, num_attention_heads=4, vocab_size=32)
    model = OPTModel(config)
    anatomy = describe(model)
    block = anatomy.blocks[0]
    assert block.mlp is not None and not block.post_norm
    assert [site.path for site in block.mlp.parts] == [
        f"decoder.layers.0.{name}" for name in ("fc1", "activation_fn", "fc2")
    ]
    assert anatomy.final_norm is not None and describe(model.decoder).final_norm is not None
    config.do_layer_norm_before = False
    after = describe(OPTModel(config))
    assert after.final_norm is None and after.blocks[0].post_norm
