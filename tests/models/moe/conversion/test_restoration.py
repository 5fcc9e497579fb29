import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.conversion.restoration import to_dense
from sparsebench.models.moe.experts import ExpertBank
from sparsebench.models.moe.layer import MoEFFN

Build = Callable[[str], nn.Module]
DENSE = ("llama", "mistral", "qwen2", "qwen3", "bert", "roberta", "vit", "timm_vit")


def same(before: dict[str, Tensor], model: nn.Module) -> bool:
    after = model.state_dict()
    return list(before) == list(after) and all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("split", ["random", "cluster", "cmoe"])
def test_to_dense_restores_every_bit(name: str, split: str, build: Build, example: Callable, run: Callable) -> None:
    model = build(name)
    before, modes = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    logits = run(model, example(model))
    convert(model, MoEConfig(num_shared=1, split=split, align=True, scale="paper"), [example(model)])
    assert not torch.equal(run(model, example(model)), logits)
    to_dense(model)
    assert same(before, model)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(run(model, example(model)), logits)


def test_bf16_and_single_layers(build: Build) -> None:
    model = build("bert").bfloat16()
    before = copy.deepcopy(model.state_dict())
    convert(model, MoEConfig(layers=(1,)))
    assert same(before, to_dense(model))


def test_trained_experts_are_kept(build: Build) -> None:
    model = build("llama")
    convert(model, MoEConfig(split="sequential"))
    layer = model.model.layers[0].mlp
    with torch.no_grad():
        layer.experts.weights(1).down.fill_(3.0)
    to_dense(model)
    down = model.model.layers[0].mlp.down_proj.weight
    assert (down[:, 7:14] == 3).all() and not (down[:, :7] == 3).any() and not (down[:, 14:] == 3).any()


@torch.no_grad()
def test_copies_of_a_neuron_come_from_the_first_expert(build: Build) -> None:
    """Experts of neurons 0 to 29 and 20 to 49, all 20 to 29 being there twice."""
    dense, model = build("llama"), build("llama")
    convert(model, MoEConfig(num_experts=2, top_k=1))
    groups = [torch.arange(30), torch.arange(20, 50)]
    for old, block in zip(dense.model.layers, model.model.layers, strict=True):
        layer: MoEFFN = block.mlp
        weights = {"gate": old.mlp.gate_proj.weight, "up": old.mlp.up_proj.weight, "down": old.mlp.down_proj.weight}
        layer.experts, layer.neurons = ExpertBank.of(groups, activation=old.mlp.act_fn, **weights), torch.cat(groups)
        layer.experts.weights(1).up[:10] = 7.0
    assert same(dense.state_dict(), to_dense(model))


def test_lost_neurons_are_named(build: Build, example: Callable) -> None:
    model = build("llama")
    convert(model, MoEConfig(num_experts=2, top_k=1, split="gradient_share", importance="activation"), [example(model)])
    names = list(model.state_dict())
    with pytest.raises(ValueError, match=r"layers\.0\.mlp: \d+ of the 50 .*'gradient_share'.* keep a copy"):
        to_dense(model)
    assert list(model.state_dict()) == names
    dropped = convert(build("llama"), MoEConfig(num_experts=8, layers=(1,)))
    describe(dropped).blocks[1].mlp.experts.keep([0, 3, 5])
    with pytest.raises(ValueError, match="experts were dropped"):
        to_dense(dropped)


def test_to_dense_needs_a_converted_model(build: Build) -> None:
    with pytest.raises(ValueError, match="no layer made by"):
        to_dense(build("llama"))
