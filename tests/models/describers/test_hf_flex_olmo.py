"""What holds for every decoder with Llama's names is in `test_hf_decoder.py`."""

from transformers import FlexOlmoConfig, FlexOlmoForCausalLM

from sparsebench.models.anatomy import describe

from ..stock_mixtures import COMMON


def test_experts_and_norms_after_each_layer() -> None:
    model = FlexOlmoForCausalLM(FlexOlmoConfig(**COMMON, num_experts=4))
    block = describe(model).blocks[1]
    assert block.mlp is not None and block.mlp.experts is not None
    assert (block.mlp.experts.num_experts, block.mlp.experts.top_k, block.mlp.experts.shared) == (4, 2, None)
    assert [site.name for site in block.norms] == ["post_attention_layernorm", "post_feedforward_layernorm"]
