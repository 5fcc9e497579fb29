import torch

from sparsebench.models.moe.stock_export.mixture import Mixture
from sparsebench.models.moe.stock_export.qwen import QWEN2_MOE, QWEN3_MOE


def test_which_of_the_two_fits(source) -> None:
    def fitting(*args: str, **fields: object) -> list[str]:
        features = source(*args, **fields).features
        return [stock.name for stock in (QWEN2_MOE, QWEN3_MOE) if stock.fits(features)]

    assert fitting("qwen2") == ["Qwen2Moe"]
    assert fitting("qwen3") == ["Qwen3Moe"]
    assert fitting("qwen3", num_shared=1) == []
    assert fitting("llama", score="sigmoid") == []


def test_routing_and_dense_blocks(source) -> None:
    config = QWEN3_MOE.config(source("qwen3", score="softmax_topk", renorm=False, layers=(0,)), (8, 0))
    assert config["num_experts"] == 8 and config["num_experts_per_tok"] == 2
    assert config["norm_topk_prob"] is False and config["mlp_only_layers"] == [1]
    assert config["use_sliding_window"] is False and config["attention_bias"] is False
    assert QWEN2_MOE.config(source("qwen2"), (8, 1))["qkv_bias"] is True


def test_biases_of_zeros_where_there_are_none(source) -> None:
    for family, zeros in (("llama", True), ("qwen2", False)):
        found = source(family)
        state = found.kept()
        written = QWEN2_MOE.rest(found, state)
        bias = written["model.layers.1.self_attn.k_proj.bias"]
        assert bias.shape == (16,) and QWEN2_MOE.config(found, (8, 8))["qkv_bias"]
        assert (written.keys() == state.keys()) is not zeros and (zeros is False or not bias.any())


def test_a_gate_of_one_half_is_made_good_in_the_shared_block(source) -> None:
    layer = source("qwen2", num_shared=1).mixtures[0]
    found = QWEN2_MOE.mixture(Mixture.of(layer, (8, 7)))
    gate = found["mlp.shared_expert_gate.weight"]
    # silu(w x) / (w x), as llama.cpp computes the gate, is not a number for w x = 0.
    inner = torch.rand(5, 32) @ gate.T
    assert gate.shape == (1, 32) and inner.all()
    assert torch.equal(inner.sigmoid(), torch.full_like(inner, 0.5))
    assert torch.equal(torch.nn.functional.silu(inner) / inner, torch.full_like(inner, 0.5))
    assert torch.equal(found["mlp.shared_expert.down_proj.weight"], 2 * layer.shared.weights(0).down)
