from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.anatomy import Wrapper, describe

Build = Callable[[str], nn.Module]
MIXTURES = ("mixtral", "olmoe", "qwen2_moe", "qwen3_moe")


@pytest.mark.parametrize("name", MIXTURES)
def test_mixture(name: str, build: Build) -> None:
    model = build(name)
    model.set_experts_implementation("eager")
    mlp = describe(model).blocks[0].mlp
    assert mlp is not None and mlp.kind == "moe" and mlp.experts is not None and mlp.activation is not None
    experts = mlp.experts
    assert (experts.num_experts, experts.top_k, mlp.width) == (4, 2, 32)
    assert (experts.shared is not None) == (name == "qwen2_moe")
    x = torch.randn(5, 32)
    for expert in range(4):
        gate, up, down = experts.weights(expert)[:3]
        assert gate is not None and gate.shape == up.shape == (mlp.hidden, 32) and down.shape == (32, mlp.hidden)
        index, weight = torch.full((5, 1), expert), torch.ones(5, 1)
        ours = (mlp.activation(x @ gate.T) * (x @ up.T)) @ down.T
        torch.testing.assert_close(experts.tensors[0].parent(x, index, weight), ours, atol=1e-6, rtol=1e-4)


def test_a_bare_decoder_has_no_head(build: Build) -> None:
    anatomy = describe(build("llama").base_model)
    assert anatomy.head is None
    assert anatomy.final_norm is not None and anatomy.final_norm.path == "norm"


@pytest.mark.parametrize(("name", "kv_heads"), [("llama", 2), ("mistral", 2), ("qwen2", 2), ("qwen3", 2)])
def test_grouped_queries(name: str, kv_heads: int, build: Build) -> None:
    attention = describe(build(name)).blocks[0].attention
    assert attention is not None and attention.q is not None and attention.k is not None
    assert attention.num_kv_heads == kv_heads
    assert attention.q.get().out_features == attention.num_heads * attention.head_dim
    assert attention.k.get().out_features == kv_heads * attention.head_dim


def test_wrappers_are_seen_through(build: Build) -> None:
    model = build("llama")
    layer = model.model.layers[1]
    original = layer.mlp
    layer.mlp = Wrapper(original)
    mlp = describe(model).blocks[1].mlp
    assert mlp is not None and mlp.site.get() is original and mlp.site.path == "model.layers.1.mlp.base_layer"


def test_no_block_is_known_as_a_sum(build: Build) -> None:
    assert not any(block.branches for block in describe(build("llama")).blocks)
