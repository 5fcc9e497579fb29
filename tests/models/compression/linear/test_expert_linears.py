"""The view of linear maps, against the tensors that hold them, for every layout of experts."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.linear.expert_linears import linear_maps
from sparsebench.models.compression.linear.linear_map import PARTS
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import AttnMoEConfig, MoEConfig, convert

from ..slimming.mixtures import BUILDERS, mixture


@pytest.mark.parametrize("name", BUILDERS)
def test_every_weight_of_every_expert_is_in_the_view_once(name: str) -> None:
    """A walk over `nn.Linear` sees none of the fused ones (transformers 5)."""
    model = mixture(name)
    seen = 0
    for block in describe(model).blocks:
        if block.mlp is None or block.mlp.experts is None:
            continue
        experts = block.mlp.experts
        own = [one for one in linear_maps(model) if one.block == block.index]
        matrices = [w for e in range(experts.num_experts) for w in experts.weights(e)[:3] if w is not None]
        assert len(own) == len(matrices)
        for one, matrix in zip(own, matrices, strict=True):
            assert one.part == "experts" and one.source is not None
            assert torch.equal(one.weight, matrix) and one.weight.data_ptr() == matrix.data_ptr()
            seen += matrix.numel()
    assert seen > 0 and len({one.name for one in linear_maps(model)}) == len(linear_maps(model))


def test_roles_names_and_shapes_of_the_interleaved_layout() -> None:
    maps = linear_maps(mixture("gpt_oss"))
    assert [one.role for one in maps[:3]] == ["gate", "up", "down"]
    assert maps[4].name == "model.layers.0.mlp.experts[1].up" and maps[4].expert == 1
    assert maps[4].shape == (48, 32) and maps[5].shape == (32, 48)
    assert maps[4].bias is not None and maps[4].bias.shape == (48,)
    assert maps[3].source is maps[4].source and maps[3].source is not maps[5].source


def test_zeros_that_fill_small_experts_up_are_not_in_the_view() -> None:
    model = mixture("converted")
    sizes = {one.shape for one in linear_maps(model) if one.role == "up"}
    assert len(sizes) == 2, "the case has experts of two sizes"
    for one in linear_maps(model):
        assert (one.weight != 0).any(0).all() and (one.weight != 0).any(1).all()


@pytest.mark.parametrize(
    ("name", "part", "roles"),
    [
        ("mixtral", "router", {"weight"}),
        ("mixtral", "attention", {"q", "k", "v", "o"}),
        ("qwen2_moe", "shared", {"gate_proj", "up_proj", "down_proj"}),
        ("deepseek_v3", "shared", {"gate_proj", "up_proj", "down_proj"}),
        ("deepseek_v3", "ffn", {"gate", "up", "down"}),
        ("deepseek_v3", "attention", {"q", "kv_a_proj_with_mqa", "kv_b_proj", "o"}),
        ("granite", "shared", {"input_linear", "output_linear"}),
        ("converted", "shared", {"gate", "up", "down"}),
        ("vit", "shared", {"up", "down"}),
        ("vit", "attention", {"qkv", "o"}),
        ("graphsgpt", "attention", {"q", "k", "v", "o"}),
    ],
)
def test_other_parts_when_they_are_asked_for(name: str, part, roles: set[str]) -> None:
    maps = linear_maps(mixture(name), (part,))
    assert {one.role for one in maps} == roles
    assert {one.part for one in maps} == {part}
    experts = {one.weight.data_ptr() for one in linear_maps(mixture(name))}
    assert not experts & {one.weight.data_ptr() for one in maps}


def test_parts_come_in_the_order_of_computation() -> None:
    maps = linear_maps(mixture("deepseek_v3"), ("shared", "experts", "router", "ffn", "attention"))
    order = [(one.block, PARTS.index(one.part)) for one in maps]
    assert order == sorted(order)


def test_what_cannot_be_viewed_is_refused_by_name(build) -> None:
    with pytest.raises(ModelError, match="LlamaForCausalLM has no linear maps of: experts"):
        linear_maps(build("llama"))
    with pytest.raises(ModelError, match="no linear maps of: nothing"):
        linear_maps(build("mixtral"), ())
    with pytest.raises(ModelError, match="did you mean 'experts'"):
        linear_maps(build("mixtral"), ("expert",))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="convolutional"):
        linear_maps(build("efficientnet"), ("ffn",))
    attention = convert(build("llama"), MoEConfig(num_experts=2, attn=AttnMoEConfig(num_experts=2, top_k=1)))
    with pytest.raises(ModelError, match="self_attn has no linear maps of its own"):
        linear_maps(attention, ("attention",))


class Int8Linear(nn.Linear):
    """What a quantiser puts in the place of a linear layer."""


def test_a_quantised_layer_is_refused_by_name(build) -> None:
    model: Any = build("llama")
    model.model.layers[1].mlp.up_proj = Int8Linear(32, 50)
    with pytest.raises(ModelError, match=r"model\.layers\.1\.mlp\.up_proj is a Int8Linear: compression needs a plain"):
        linear_maps(model, ("ffn",))


def test_experts_that_nothing_calls_are_refused() -> None:
    anatomy = describe(mixture("mixtral"))
    assert anatomy.blocks[0].mlp is not None and anatomy.blocks[0].mlp.experts is not None
    anatomy.blocks[0].mlp.experts = dataclasses.replace(anatomy.blocks[0].mlp.experts, module=None)
    with pytest.raises(ModelError, match="not called with"):
        linear_maps(anatomy)


def test_a_weight_that_is_made_at_each_call_is_refused(build) -> None:
    """What is written there would be written over."""
    model = build("llama")
    prune.l1_unstructured(model.model.layers[1].mlp.down_proj, "weight", 0.5)
    with pytest.raises(ModelError, match="made at each call of other tensors"):
        linear_maps(model, ("ffn",))
    prune.remove(model.model.layers[1].mlp.down_proj, "weight")
    assert len(linear_maps(model, ("ffn",))) == 6
