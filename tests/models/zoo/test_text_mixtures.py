"""Text mixtures of transformers: their experts are seen as they compute, moved and written where they lie."""

import pytest
import torch
from torch import nn

from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.anatomy import MLP, Experts, describe
from sparsebench.models.counting import count_parameters
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.conversion.restoration import to_dense
from sparsebench.models.moe.routing.probe import routing_probe

from .text_families import MIXTURES, build, close, outputs, padded_inputs, rows, state

ROWS = rows(MIXTURES)
IDS = tuple(f"{family}-{cls}" for family, cls in ROWS)
FIRSTS = tuple((name, family.names()[1]) for name, family in MIXTURES.items())
"""The class with a language head of each family: what does not depend on the head is checked there."""


def ffns(model: nn.Module) -> list[MLP]:
    return [block.mlp for block in describe(model).blocks if block.mlp is not None]


def routed(model: nn.Module) -> list[Experts]:
    return [mlp.experts for mlp in ffns(model) if mlp.experts is not None]


@pytest.mark.parametrize(("family", "cls"), ROWS, ids=IDS)
def test_counts(family: str, cls: str) -> None:
    """Two of six experts work on a token."""
    model = build(family, cls)
    counts = count_parameters(model)
    assert counts.total == sum(parameter.numel() for parameter in model.parameters())
    idle = 0
    for module in model.modules():
        if type(module).__name__.endswith("Experts"):
            idle += sum(parameter.numel() for parameter in module.parameters()) * 4 // 6
    assert 0 < idle == counts.total - counts.active


@pytest.mark.parametrize(("family", "cls"), FIRSTS, ids=MIXTURES)
def test_experts_in_another_order_give_the_same(family: str, cls: str) -> None:
    """What is moved with an expert is all that belongs to it: its weights and all its rows in the router."""
    model = build(family, cls)
    before = outputs(model)
    for experts in routed(model):
        if experts.groups > 1:
            experts.keep([2, 0, 1, 4, 5, 3])
        else:
            experts.keep([5, 2, 0, 1, 4, 3])
    # Routers of transformers work in float32, whatever the model does.
    torch.testing.assert_close(outputs(model), before, atol=1e-4, rtol=1e-4)
    changed = any(not torch.equal(value, state(family, cls)[name]) for name, value in model.state_dict().items())
    assert changed


@pytest.mark.parametrize(("family", "cls"), FIRSTS, ids=MIXTURES)
def test_weights_that_are_written_are_read_and_used(family: str, cls: str) -> None:
    model = build(family, cls)
    before = outputs(model)
    experts = routed(model)[0]
    old = [value.clone() for value in experts.weights(1) if value is not None]
    for expert in range(experts.num_experts):
        other = experts.weights((expert + 1) % experts.num_experts)
        experts.set_weights(expert, type(other)(*(None if value is None else value + 1 for value in other)))
    new = [value for value in experts.weights(0) if value is not None]
    assert all(torch.equal(value, was + 1) for value, was in zip(new, old, strict=True))
    assert (outputs(model) - before).abs().max() > 1e-6


@pytest.mark.parametrize(("family", "cls"), FIRSTS, ids=MIXTURES)
def test_dense_blocks_convert_and_mixtures_are_refused(family: str, cls: str) -> None:
    model = build(family, cls)
    before = outputs(model)
    dense = tuple(block.index for block in describe(model).blocks if block.mlp is not None and block.mlp.kind != "moe")
    exact = {"num_experts": 4, "top_k": 4, "score": "none", "scale": "exact"}
    with pytest.raises(ModelError, match="is a mixture of experts already"):
        convert(model, MoEConfig(**exact))
    if dense:
        convert(model, MoEConfig(**exact, layers=dense))
        close(outputs(model), before)
        to_dense(model)
    assert all(torch.equal(value, state(family, cls)[name]) for name, value in model.state_dict().items())


def test_low_rank_products_have_no_span_for_each_of_q_k_v() -> None:
    with pytest.raises(ModelError, match="makes q, k and v by low-rank products"):
        attach(build("DeepseekV3", "DeepseekV3ForCausalLM"), LoRAConfig(r=2))


@pytest.mark.parametrize(("family", "cls"), FIRSTS, ids=MIXTURES)
def test_a_probe_sees_what_the_router_chooses(family: str, cls: str) -> None:
    """Against the indices (T, 2) that the routers of transformers return, without those of padding."""
    model = build(family, cls)
    chosen: list[torch.Tensor] = []
    for experts in routed(model):
        experts.router.get().register_forward_hook(lambda module, args, result: chosen.append(result[2]))
    inputs = padded_inputs(model)
    real = inputs["attention_mask"].flatten().bool()
    with torch.no_grad(), routing_probe(model) as probe:
        model(**inputs)
    assert len(chosen) == len(probe.layers) == len(routed(model)) > 0
    for layer, index in zip(probe.layers.values(), chosen, strict=True):
        counts = torch.bincount(index[real].flatten(), minlength=6)
        assert layer.entropy > 0 and layer.token_entropy is not None
        assert layer.tokens == 12 and layer.dead == tuple(torch.nonzero(counts == 0).flatten().tolist())
        torch.testing.assert_close(layer.load.double(), counts.double() / 24)
