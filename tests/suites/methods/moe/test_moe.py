"""The published dense to MoE settings as methods, their controls, and static pruning."""

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.models.anatomy import describe, linear_view
from sparsebench.models.moe import MoEFFN, preset
from sparsebench.models.moe.attention.convert_attention import AttentionMoE
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method, NotApplicable
from sparsebench.suites.contracts.task import Setup
from sparsebench.suites.llm.methods.dot_moe import DotMoE
from sparsebench.suites.llm.methods.layer_allocation import LayerAllocation
from sparsebench.suites.llm.methods.tomoe import ToMoE
from sparsebench.suites.methods.compression.neuron_pruning import NeuronPruning
from sparsebench.suites.methods.compression.top_neurons import TopNeurons
from sparsebench.suites.methods.moe import llama_moe_v1, llama_moe_v2
from sparsebench.suites.methods.moe._calibration import split_seed
from sparsebench.suites.methods.moe._moe import MoEMethod
from sparsebench.suites.methods.moe.cmoe import CMoE
from sparsebench.suites.methods.moe.llama_moe_v1 import LlamaMoEV1
from sparsebench.suites.methods.moe.llama_moe_v2 import LlamaMoEV2
from sparsebench.suites.methods.moe.moe_attention import MoEAttention
from sparsebench.suites.methods.moe.upcycle import Upcycle

from ....models.zoo.text_families import build
from ..setups import text


@pytest.fixture
def setup() -> Setup:
    return text()


def ffns(model: nn.Module) -> list[Any]:
    return [layer.mlp for layer in model.model.layers]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", llama_moe_v1.PRESETS)
@pytest.mark.parametrize("faithful", [False, True])
def test_v1_is_the_preset(name: Any, faithful: bool, setup: Setup) -> None:
    method = LlamaMoEV1(preset=name, faithful=faithful)
    wanted = preset(llama_moe_v1.PRESETS[name], faithful=faithful, seed=split_seed(setup.context))
    assert [layer.config for layer in ffns(method.prepare(setup.model, setup.context))] == [wanted] * 2


@pytest.mark.parametrize("split", ["sequential", "cluster", "coact", "gradient", "gradient_share"])
def test_v1_has_every_construction_of_the_paper(split: Any, setup: Setup) -> None:
    layers = ffns(LlamaMoEV1(split=split, scale="norm").prepare(setup.model, setup.context))
    assert all(
        (layer.config.split, layer.config.scale, layer.config.router) == (split, "norm", "mlp") for layer in layers
    )


def test_v1_at_another_granularity_balance_and_gradient() -> None:
    config = LlamaMoEV1(num_experts=64, top_k=16, scale="norm", balance_coef=0.0, densemixer=True).moe_config(3)
    changes = {"num_experts": 64, "top_k": 16, "scale": "norm", "balance_coef": 0.0, "densemixer": True}
    assert config == preset("llama_moe_v1_4of16", seed=3, **changes)
    assert not LlamaMoEV1().moe_config(0).straight_through
    assert LlamaMoEV1(num_experts=4, top_k=1).moe_config(0).straight_through


def test_v2_with_densemixer_has_no_other_gradient_of_its_router() -> None:
    assert LlamaMoEV2().moe_config(0).straight_through
    config = LlamaMoEV2(densemixer=True).moe_config(0)
    assert config.densemixer
    assert not config.straight_through


@pytest.mark.parametrize("name", ["8top2", "1p7top1"])
def test_v2_is_the_preset(name: Any, setup: Setup) -> None:
    method = LlamaMoEV2(preset=name, scale="calibrated", align=True)
    changes = {"scale": "calibrated", "align": True, "seed": split_seed(setup.context)}
    wanted = preset(llama_moe_v2.PRESETS[name], **changes)
    assert [layer.config for layer in ffns(method.prepare(setup.model, setup.context))] == [wanted] * 2


def test_heads_that_cannot_be_shared_out_are_not_applicable(setup: Setup) -> None:
    with pytest.raises(NotApplicable, match="4 query heads"):
        LlamaMoEV2(preset="attn_7of8").prepare(setup.model, setup.context)
    with pytest.raises(NotApplicable, match="4 query heads"):
        MoEAttention(num_experts=3).prepare(setup.model, setup.context)


def test_attention_experts_leave_the_ffn_dense(setup: Setup) -> None:
    model = MoEAttention(num_experts=2, top_k=1, mode="keep_kv").prepare(setup.model, setup.context)
    assert sum(isinstance(module, AttentionMoE) for module in model.modules()) == 2
    assert not any(isinstance(module, MoEFFN) for module in model.modules())


@pytest.mark.parametrize("split", ["cmoe", "random", "cluster", "residual"])
def test_cmoe_and_its_controls_differ_by_the_split_alone(split: Any, setup: Setup) -> None:
    layers = ffns(CMoE(num_shared=1, top_k=5, split=split).prepare(setup.model, setup.context))
    config = layers[0].config
    assert (config.split, config.router, config.score, config.num_shared, config.top_k) == (split, "glu", "none", 1, 5)


@pytest.mark.parametrize(
    "method",
    [
        LlamaMoEV1(preset="2of8", top_k=4, routing="common"),
        LlamaMoEV1(preset="residual_14p2", num_experts=8, routing="common"),
        LlamaMoEV2(routing="common"),
        CMoE(routing="common"),
        DotMoE(passes=0, routing="common"),
        ToMoE(passes=0, routing="common"),
        LayerAllocation(rule="uniform", routing="common"),
    ],
    ids=lambda method: type(method).__name__,
)
def test_the_common_router_is_the_same_for_every_split(method: MoEMethod, setup: Setup) -> None:
    """Its kind, start, weights, scale and balance; a chosen expert starts near its dense coefficient."""
    layers = ffns(method.prepare(setup.model, setup.context))
    found = layers[0].config
    assert (found.router, found.router_init, found.score, found.scale) == (
        "linear",
        "regressed",
        "topk_softmax",
        "exact",
    )
    assert (found.noise, found.balance, found.straight_through) == ("none", "switch", found.top_k == 1)
    weight = layers[0].router(torch.randn(50, 32, generator=torch.Generator().manual_seed(0))).weight
    torch.testing.assert_close(weight.mean(), torch.tensor(1.0))
    control = replace(method, routing="random").conversion(found.seed)
    assert control == replace(found, router_init="random", layers="all")
    own = type(method)().conversion(3)
    assert own == type(method)().moe_config(3)


def test_copies_of_an_ffn_have_no_common_router() -> None:
    with pytest.raises(ValueError, match="'regressed' makes rows from different neurons"):
        Upcycle(routing="common")


def test_an_allocation_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="the most a layer may have"):
        LayerAllocation(rule="variation", num_shared=3, top_k=1)


def test_the_search_reads_as_many_examples_as_it_is_told(setup: Setup) -> None:
    batches = setup.context.calibration()
    assert len(batches) == 1 and len(batches[0]["input_ids"]) == 16
    (found,) = LayerAllocation(search_examples=3)._searched(setup.context)
    assert torch.equal(found["input_ids"], batches[0]["input_ids"][:3]) and not found["use_cache"]
    assert len(LayerAllocation(search_examples=99)._searched(setup.context)[0]["input_ids"]) == 16


def test_the_oracle_keeps_a_fraction_of_the_neurons(setup: Setup) -> None:
    model = TopNeurons(keep=0.25).prepare(setup.model, setup.context)
    assert [layer.down_proj.count for layer in ffns(model)] == [16, 16]
    with pytest.raises(ValueError, match="keep must lie"):
        TopNeurons(keep=0.0)


def test_an_impossible_config_is_refused_before_anything_runs() -> None:
    with pytest.raises(ValueError, match="top_k"):
        CMoE(num_shared=3, top_k=6)
    with pytest.raises(ValueError, match="keep must lie"):
        NeuronPruning(keep=0.0)


def test_pruning_keeps_the_neurons_that_matter(setup: Setup) -> None:
    """Neurons without any output have no gradient: they are the first to go, and the last to stay."""
    model = setup.model
    with torch.no_grad():
        for layer in ffns(model):
            layer.down_proj.weight[:, :32] = 0
    dense = copy.deepcopy(model)
    ids = setup.context.batches()[0]["input_ids"]
    top = NeuronPruning(keep=0.5).prepare(copy.deepcopy(model), setup.context)
    torch.testing.assert_close(top(input_ids=ids).logits, dense(input_ids=ids).logits, atol=1e-5, rtol=1e-5)
    bottom = NeuronPruning(keep=0.5, which="bottom").prepare(copy.deepcopy(model), setup.context)
    assert all(float(layer.down_proj.weight.detach().abs().max()) == 0 for layer in ffns(bottom))
    assert ffns(top)[0].gate_proj.weight.shape == (32, 32)
    assert ffns(top)[0].down_proj.weight.shape == (32, 32)


def test_pruning_nothing_is_the_dense_model(setup: Setup) -> None:
    ids = setup.context.batches()[0]["input_ids"]
    expected = setup.model(input_ids=ids).logits
    for which in ("top", "random", "bottom"):
        model = NeuronPruning(keep=1.0, which=which).prepare(copy.deepcopy(setup.model), setup.context)
        torch.testing.assert_close(model(input_ids=ids).logits, expected)


@pytest.mark.parametrize(("family", "cls"), [("Phi3", "Phi3Model"), ("GPT2", "GPT2Model"), ("OPT", "OPTModel")])
def test_pruned_neurons_of_fused_and_transposed_layers_are_gone(family: str, cls: str, setup: Setup) -> None:
    """Every family whose FFN is not three linear layers of its own: as if the neurons had no output."""
    dense = build(family, cls)
    pruned = NeuronPruning(keep=0.5, which="random").prepare(copy.deepcopy(dense), setup.context)
    generator = torch.Generator().manual_seed(split_seed(setup.context))
    with torch.no_grad():
        for block in describe(dense).blocks:
            assert block.mlp is not None
            assert block.mlp.down is not None
            score = torch.rand(block.mlp.hidden, generator=generator)
            gone = score.argsort()[: block.mlp.hidden // 2]
            linear_view(block.mlp.down.get()).weight[:, gone] = 0
    ids = torch.arange(3, 15).view(2, 6)
    torch.testing.assert_close(pruned(ids).last_hidden_state, dense(ids).last_hidden_state)
    kept = [block.mlp.down.get() for block in describe(pruned).blocks if block.mlp and block.mlp.down]
    assert [linear.in_features for linear in kept] == [11, 11]


@pytest.mark.parametrize("method", [CMoE(), NeuronPruning()])
@pytest.mark.parametrize("family", ["Mixtral", "DeepseekV3"])
def test_a_mixture_is_not_cut_again(family: str, method: Method, setup: Setup) -> None:
    with pytest.raises(NotApplicable, match="a mixture of experts already"):
        method.prepare(build(family, f"{family}ForCausalLM"), setup.context)


def test_random_pruning_follows_the_seed_and_reads_no_data(setup: Setup) -> None:
    context = Context(suite="llm", task="synthetic", seed=0)  # without calibration batches
    first, again = (
        NeuronPruning(keep=0.5, which="random").prepare(copy.deepcopy(setup.model), context) for _ in range(2)
    )
    other = NeuronPruning(keep=0.5, which="random").prepare(
        copy.deepcopy(setup.model), Context(suite="llm", task="synthetic", seed=1)
    )
    weights = [ffns(model)[0].up_proj.weight for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
