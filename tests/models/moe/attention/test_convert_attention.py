"""Conversion of the attention, and back."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import Wrapper, describe
from sparsebench.models.counting import count_parameters
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.attention.convert_attention import (
    AttentionMoE,
    AttnMoEConfig,
    attention_to_dense,
    convert_attention,
)
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.conversion.restoration import to_dense
from sparsebench.models.moe.routing.balance import balance_loss
from sparsebench.models.moe.routing.probe import routing_probe
from sparsebench.models.moe.routing.statistics import aux_loss

Build = Callable[[str], nn.Module]
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "mixtral", "qwen2_moe", "qwen3_moe")


def layers(model: nn.Module) -> list[AttentionMoE]:
    return [module for module in model.modules() if isinstance(module, AttentionMoE)]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("experts", [1, 2, 4])
def test_to_dense_restores_every_bit(family: str, experts: int, build: Build, example: Callable, run: Callable) -> None:
    model = build(family)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    before, logits = copy.deepcopy(model.state_dict()), run(model, example(model))
    convert_attention(model, AttnMoEConfig(num_experts=experts, top_k=1))
    assert len(layers(model)) == 2
    attention_to_dense(model)
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert torch.equal(run(model, example(model)), logits)


def test_trained_copies_of_a_key_head_are_averaged(build: Build) -> None:
    model = convert_attention(build("llama"), AttnMoEConfig(num_experts=4, top_k=4))
    key = layers(model)[0].qkv.data[:, 8:16].clone()
    layers(model)[0].qkv.data[0, 8:16] += 1
    attention_to_dense(model)
    torch.testing.assert_close(model.model.layers[0].self_attn.k_proj.weight, key[[0, 2]].flatten(0, 1) + _half())


def _half() -> Tensor:
    return torch.tensor([0.5, 0.0]).repeat_interleave(8).unsqueeze(1)


def test_frozen_and_training_states_go_both_ways(build: Build) -> None:
    model = build("qwen3").train().requires_grad_(False)
    convert_attention(model, AttnMoEConfig(num_experts=2, top_k=1))
    assert layers(model)[0].training and not any(p.requires_grad for p in model.parameters())
    attention_to_dense(model)
    assert model.model.layers[0].self_attn.training and not any(p.requires_grad for p in model.parameters())


def test_only_the_layers_that_were_named(build: Build, example: Callable, run: Callable) -> None:
    model = build("llama")
    dense = run(model, example(model))
    convert_attention(model, AttnMoEConfig(num_experts=2, top_k=2, score="none"), layers=(1,))
    assert [isinstance(block.self_attn, AttentionMoE) for block in model.model.layers] == [False, True]
    torch.testing.assert_close(run(model, example(model)), dense, atol=1e-6, rtol=1e-6)
    generated = model.generate(example(model), max_new_tokens=5, do_sample=False)
    assert torch.equal(generated, model.generate(example(model), max_new_tokens=5, do_sample=False, use_cache=False))


def test_convert_and_to_dense_take_the_attention_along(build: Build, example: Callable, run: Callable) -> None:
    model = build("llama")
    before, dense = copy.deepcopy(model.state_dict()), run(model, example(model))
    attn = AttnMoEConfig(num_experts=4, top_k=4)
    convert(model, MoEConfig(num_experts=4, top_k=4, split="sequential", score="none", layers=(1,), attn=attn))
    converted = model.model.layers[1]
    assert len(layers(model)) == 1 and isinstance(converted.self_attn, AttentionMoE)
    assert not torch.equal(converted.self_attn.router.weight, converted.mlp.router.weight)
    assert not torch.equal(run(model, example(model)), dense)
    to_dense(model)
    assert list(model.state_dict()) == list(before)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    convert_attention(model, attn)
    assert not layers(to_dense(model))
    with pytest.raises(ModelError, match="no layer made by"):
        to_dense(model)


def test_the_router_comes_from_the_generator(build: Build) -> None:
    config = AttnMoEConfig(num_experts=2, top_k=1, seed=4)
    weights = [
        layers(convert_attention(build("llama"), config, generator))[1].router.weight
        for generator in (None, torch.Generator().manual_seed(4), torch.Generator().manual_seed(5))
    ]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    zeros = convert_attention(build("llama"), AttnMoEConfig(num_experts=2, top_k=1, router_init="zeros"))
    assert not layers(zeros)[0].router.weight.any()


@pytest.mark.parametrize(("scale", "value"), [("exact", 2.0), ("paper", 2.0), ("norm", 8**0.5), (4.0, 4.0)])
@torch.no_grad()
def test_output_is_linear_in_the_scale(scale: str | float, value: float, build: Build) -> None:
    x, rope = torch.randn(1, 5, 32), (torch.ones(1, 5, 8), torch.zeros(1, 5, 8))
    one, other = (
        layers(convert_attention(build("llama"), AttnMoEConfig(num_experts=4, top_k=2, scale=s)))[0](x, rope)[0]
        for s in (1.0, scale)
    )
    torch.testing.assert_close(other, value * one)


def test_parameters_at_work(build: Build) -> None:
    dense = count_parameters(build("llama")).total
    routed = convert_attention(build("llama"), AttnMoEConfig(num_experts=2, top_k=1))
    counts = count_parameters(routed)
    attention, router = 2 * 32 * 8 * (4 + 2 + 2 + 4), 2 * 2 * 32
    assert counts.total == dense + router
    assert counts.active == dense + router - attention // 2
    kept = convert_attention(build("llama"), AttnMoEConfig(num_experts=2, top_k=1, mode="keep_kv"))
    assert count_parameters(kept).active == dense + router - attention // 3


def test_the_anatomy_sees_heads_and_no_linears(build: Build) -> None:
    model = convert_attention(build("llama"), AttnMoEConfig(num_experts=4, top_k=2))
    block = describe(model).blocks[0]
    attention = block.attention
    assert attention is not None and attention.site.path == "model.layers.0.self_attn"
    assert (attention.num_heads, attention.num_kv_heads, attention.head_dim) == (4, 2, 8)
    assert attention.linears == () and len(block.linears) == 3


def test_balance_loss_and_statistics_leave_padding_out(build: Build) -> None:
    config = AttnMoEConfig(num_experts=4, top_k=2, balance="switch", balance_coef=0.5)
    model = convert_attention(build("llama"), config)
    ids = torch.randint(3, 64, (2, 7), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(7) >= torch.tensor([0, 3]).unsqueeze(1)).long()
    routings = []
    for layer in layers(model):
        layer.router.register_forward_hook(lambda module, args, routing: routings.append(routing))
    with routing_probe(model) as probe:
        model.train()(ids, attention_mask=mask)
    assert [layer.tokens for layer in probe.layers.values()] == [11, 11]
    real = [type(r)(*(None if t is None else t[mask.flatten().bool()] for t in r)) for r in routings]
    expected = sum(balance_loss(config, routing) for routing in real)
    torch.testing.assert_close(aux_loss(model), expected)
    aux_loss(model).backward()
    assert all(layer.router.weight.grad.abs().sum() > 0 for layer in layers(model))


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("bert", "is of class BertAttention: attention experts need the causal attention"),
        ("vit", "is of class ViTAttention: attention experts need the causal attention"),
        ("timm_vit", "blocks.0.attn is of class Attention: attention experts need"),
        ("olmoe", "q_norm spans all heads"),
        ("efficientnet", "blocks without attention"),
    ],
)
def test_other_attention_is_refused(family: str, message: str, build: Build) -> None:
    with pytest.raises(ModelError, match=message):
        convert_attention(build(family), AttnMoEConfig(num_experts=2, top_k=1))


@pytest.mark.parametrize("experts", [3, 8])
def test_heads_that_do_not_divide(experts: int, build: Build) -> None:
    with pytest.raises(ModelError, match=r"share out 4 query heads in 2 groups .* use one of 1, 2, 4"):
        convert_attention(build("llama"), AttnMoEConfig(num_experts=experts, top_k=1))


def test_a_failed_conversion_leaves_the_model_untouched(build: Build) -> None:
    model = build("llama")
    model.model.layers[1].self_attn.v_proj = nn.Sequential(nn.Linear(32, 16))
    with pytest.raises(ModelError, match=r"layers\.1\.self_attn\.v_proj is a Sequential"):
        convert_attention(model, AttnMoEConfig(num_experts=2, top_k=1))
    assert not layers(model)
    model = build("llama")
    model.model.layers[1].self_attn.k_proj = Wrapper(model.model.layers[1].self_attn.k_proj)
    with pytest.raises(
        ModelError, match=r"1\.self_attn\.k_proj\.base_layer is wrapped in a Wrapper: take the adapters off"
    ):
        convert_attention(model, AttnMoEConfig(num_experts=2, top_k=1))
    assert not layers(model)


def test_converting_twice_and_layers_that_are_not_there(build: Build) -> None:
    model = convert_attention(build("llama"), AttnMoEConfig(num_experts=2, top_k=1), layers=(0,))
    with pytest.raises(ModelError, match=r"layers\.0\.self_attn is a mixture of attention experts already"):
        convert_attention(model, AttnMoEConfig(num_experts=2, top_k=1))
    with pytest.raises(ModelError, match=r"the model has blocks 0\.\.1"):
        convert_attention(model, AttnMoEConfig(num_experts=2, top_k=1), layers=(2,))
