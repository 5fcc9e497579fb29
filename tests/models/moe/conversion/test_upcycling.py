"""Copies of the whole FFN are the dense model until they are drawn again, and that as the paper says."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.counting import count_parameters
from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt import Tokenizer, Vocabulary
from sparsebench.models.graphsgpt.model.configuration import GraphsGPTConfig
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.moe import MoEConfig, convert
from sparsebench.models.moe.conversion.upcycling import reinitialise
from sparsebench.models.moe.experts.bank import ExpertBank
from sparsebench.models.moe.layer import MoEFFN

Build = Callable[[str], nn.Module]
DENSE = ("llama", "mistral", "qwen2", "qwen3", "bert", "roberta", "vit", "timm_vit")
SUM_TO_1: list[dict[str, Any]] = [
    {"top_k": 2, "score": "softmax_topk"},
    {"top_k": 1, "score": "softmax_topk", "straight_through": True},
    {"top_k": 3, "score": "topk_softmax", "router": "mlp"},
    {"top_k": 5, "score": "sigmoid", "router_init": "zeros"},
    {"top_k": 4, "score": "none", "align": True, "scale": "calibrated"},
]


def layers(model: nn.Module) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, MoEFFN)]


@pytest.mark.parametrize(
    ("name", "fields"),
    [*((name, SUM_TO_1[0]) for name in DENSE), *(("bert", fields) for fields in SUM_TO_1[1:])],
)
def test_copies_equal_the_dense_model_whichever_are_chosen(
    name: str, fields: dict[str, Any], build: Build, example: Callable, run: Callable
) -> None:
    model = build(name).double()
    batch = example(model)
    batch = batch.double() if batch.is_floating_point() else batch
    dense = run(model, batch)
    convert(model, MoEConfig(num_experts=5, split="whole", **fields), [batch])
    torch.testing.assert_close(run(model, batch), dense, atol=1e-12, rtol=1e-12)


@torch.no_grad()
def test_copies_equal_graphsgpt() -> None:
    vocabulary = Vocabulary.improved([(6, 0), (7, 0), (8, 0)])
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_words": 2}
    model = GraphsGPT(GraphsGPTConfig.of(vocabulary, **sizes)).eval().double()
    batch = Tokenizer(vocabulary)(["CCO", "c1ccncc1"]).batch()
    before = model(batch)
    convert(model, MoEConfig(num_experts=3, split="whole"))
    after = model(batch)
    assert len(layers(model)) == 4
    torch.testing.assert_close(after.words, before.words, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(after.loss, before.loss, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_the_model_grows_and_as_many_parameters_work_as_there_are_experts_chosen(name: str, build: Build) -> None:
    dense, model = build(name), convert(build(name), MoEConfig(num_experts=6, top_k=2, split="whole", reinit=0.5))
    mlp = describe(dense).blocks[0].mlp
    assert mlp is not None and mlp.down is not None
    shared = mlp.down.get().bias.numel() if name == "bert" else 0
    ffn = sum(parameter.numel() for site in mlp.linears for parameter in site.get().parameters()) - shared
    router = 6 * 32
    before, after = count_parameters(dense), count_parameters(model)
    assert after.total == before.total + 2 * (5 * ffn + router)
    assert after.active == before.total + 2 * (1 * ffn + router)


def bank(generator: torch.Generator, sizes: tuple[int, ...], *, gated: bool, bias: bool) -> ExpertBank:
    """Experts whose entries all differ, with other means and spreads in each matrix."""
    hidden = max(sizes)
    rows = 2 * hidden if gated else hidden
    return ExpertBank(
        sizes=sizes,
        gate_up=1.0 + 0.3 * torch.randn(len(sizes), rows, 7, generator=generator),
        down=-2.0 + 0.1 * torch.randn(len(sizes), 7, hidden, generator=generator),
        bias=torch.randn(len(sizes), rows, generator=generator) if bias else None,
        gated=gated,
        activation=nn.functional.silu if gated else nn.functional.gelu,
    )


@pytest.mark.parametrize(("gated", "bias"), [(True, False), (True, True), (False, True)])
@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 1.0])
def test_new_values_are_those_of_a_slow_reference(gated: bool, bias: bool, fraction: float) -> None:
    """Entry by entry, from the same random numbers: mean and deviation are those of the entries that are replaced."""
    experts = bank(torch.Generator().manual_seed(1), (10, 9), gated=gated, bias=bias)
    old = copy.deepcopy(experts)
    chosen = reinitialise(experts, fraction, torch.Generator().manual_seed(5))
    replay = torch.Generator().manual_seed(5)
    for expert, size in enumerate((10, 9)):
        neurons = torch.randperm(size, generator=replay)[: round(fraction * size)].sort().values
        assert torch.equal(neurons, chosen[expert])
        assert len(neurons) == round(fraction * size)
        before, after = old.weights(expert), experts.weights(expert)
        for name in ("gate", "up", "down", "gate_bias", "up_bias"):
            was, now = getattr(before, name), getattr(after, name)
            if was is None:
                assert now is None
                continue
            by_neuron, wanted = (was.t(), now.t()) if name == "down" else (was, now)
            kept = [neuron for neuron in range(size) if neuron not in neurons]
            assert torch.equal(by_neuron[kept], wanted[kept])
            if not len(neurons):
                continue
            entries = by_neuron[neurons].flatten().tolist()
            mean = sum(entries) / len(entries)
            deviation = (sum((entry - mean) ** 2 for entry in entries) / len(entries)) ** 0.5
            noise = torch.randn(by_neuron[neurons].shape, generator=replay)
            torch.testing.assert_close(wanted[neurons], mean + deviation * noise, atol=1e-5, rtol=1e-5)


def test_experts_forget_different_neurons_and_zeros_that_fill_up_stay_zero() -> None:
    experts = bank(torch.Generator().manual_seed(1), (40, 30), gated=True, bias=True)
    with torch.no_grad():
        experts.down[1][:, 30:] = 0
    first, second = reinitialise(experts, 0.5, torch.Generator().manual_seed(0))
    assert (len(first), len(second)) == (20, 15)
    assert set(first.tolist()) != set(second.tolist())
    assert not experts.down[1][:, 30:].any()


@pytest.mark.parametrize("name", ["llama", "vit"])
def test_a_converted_model_is_drawn_again_as_the_seed_says(name: str, build: Build) -> None:
    config = MoEConfig(num_experts=3, split="whole", reinit=0.4, seed=4)
    first, again = (convert(build(name).bfloat16(), config).state_dict() for _ in range(2))
    other = convert(build(name).bfloat16(), MoEConfig(num_experts=3, split="whole", reinit=0.4, seed=5)).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    (key, *_) = [key for key in first if key.endswith("experts.down")]
    assert first[key].dtype == torch.bfloat16 and not torch.equal(first[key], other[key])
    changed = (first[key][0] != first[key][1]).any(0).double().mean()
    assert 0.5 < changed < 0.8, "0.4 + 0.4 - 0.4 * 0.4 = 0.64 of the columns differ"


def test_training_moves_every_copy_apart(build: Build, example: Callable) -> None:
    """Equal copies get unequal tokens; all parameters have a gradient."""
    model = convert(build("llama"), MoEConfig(num_experts=4, top_k=2, split="whole", balance="switch")).train()
    model(example(model)).logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    gradient: Tensor = layers(model)[0].experts.down.grad
    assert not torch.equal(gradient[0], gradient[1])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"split": "random", "reinit": 0.5}, "reinit=0.5 is for copies of the FFN: set split='whole'"),
        ({"reinit": 1.5}, "reinit=1.5 must lie from 0 to 1"),
        ({"reinit": float("nan")}, "reinit=nan must lie from 0 to 1"),
        ({"num_shared": 1}, "a shared one would double it"),
        ({"scale": "paper"}, "scale='paper' is for parts of an FFN"),
        ({"scale": "norm"}, "scale='norm' is for parts of an FFN"),
        ({"router_init": "energy"}, "router_init='energy' makes rows from different neurons, and copies of an FFN"),
        ({"router": "glu", "router_init": "analytic"}, "router_init='analytic' makes rows from different neurons"),
    ],
)
def test_what_cannot_be(fields: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"split": "whole"} | fields
    with pytest.raises(ModelError, match=message):
        MoEConfig(**given)
