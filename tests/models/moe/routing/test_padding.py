"""Audit M5: padding in a batch changes neither the balance loss nor who fits within the capacity."""

import copy
import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from sparsebench.models import load, save
from sparsebench.models.anatomy import describe
from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt import GraphsGPTConfig
from sparsebench.models.graphsgpt.model.encoder import Graph2Seq
from sparsebench.models.graphsgpt.tokens.batch import collate
from sparsebench.models.moe import MoEConfig, MoEFFN, aux_loss, convert, to_dense
from sparsebench.models.moe.attention.convert_attention import AttnMoEConfig, convert_attention
from sparsebench.models.moe.routing.balance import balance_loss, within_capacity
from sparsebench.models.moe.routing.padding import HandOver, hand_over_masks

from .by_hand import padded, rows

Build = Callable[[str], Any]
CONFIG = MoEConfig(num_experts=4, top_k=2, balance="cv2", balance_coef=0.5, capacity=0.8, router_init="random")


def layers(model: nn.Module) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, MoEFFN)]


def converted(build: Build, family: str = "llama", config: MoEConfig = CONFIG) -> Any:
    model = convert(build(family).double(), config)
    with torch.no_grad():
        for layer in layers(model):  # routers that send more to some experts than the capacity allows
            layer.router.weight.mul_(50)
    return model


def expected_loss(model: Any, inputs: list[list[Tensor]], config: MoEConfig) -> Tensor:
    """From what entered each mixture in the rows by themselves, joined."""
    losses = []
    for layer, parts in zip(layers(model), inputs, strict=True):
        losses.append(balance_loss(config, layer.router(torch.cat(parts))))
    return torch.stack(losses).sum()


def entered(model: Any, calls: list[dict[str, Tensor]]) -> list[list[Tensor]]:
    """What enters each mixture in each call (T, D), in training mode."""
    found: list[list[Tensor]] = [[] for _ in layers(model)]
    hooks = []
    for place, layer in enumerate(layers(model)):

        def note(module: nn.Module, args: tuple[Tensor, ...], place: int = place) -> None:
            found[place].append(args[0].detach().flatten(0, 1))

        hooks.append(layer.register_forward_pre_hook(note))
    for call in calls:
        model(**call)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("filler", [0, 40])
@pytest.mark.parametrize("side", ["right", "left"])
def test_the_balance_loss_is_that_of_the_rows_without_padding(side: str, filler: int, build: Build) -> None:
    config = MoEConfig(num_experts=4, top_k=2, balance="cv2", balance_coef=0.5)
    model = converted(build, config=config).train()
    inputs = entered(model, [{"input_ids": row} for row in rows()])
    model(**padded(side, filler))
    torch.testing.assert_close(aux_loss(model), expected_loss(model, inputs, config))
    gradient = torch.autograd.grad(aux_loss(model), layers(model)[0].router.weight)[0]
    assert gradient.norm() > 0


@pytest.mark.parametrize("attn_implementation", ["sdpa", "eager"])
def test_an_encoder_too(attn_implementation: str, build: Build) -> None:
    config = MoEConfig(num_experts=4, top_k=2, balance="switch", balance_coef=0.5)
    model = converted(build, "bert", config).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    model.set_attn_implementation(attn_implementation)
    inputs = entered(model, [{"input_ids": row} for row in rows()])
    batch = padded("right", 40)
    model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    torch.testing.assert_close(aux_loss(model), expected_loss(model, inputs, config))


def test_molecules_too() -> None:
    """GraphsGPT gives its blocks a mask of keys."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = MoEConfig(num_experts=4, top_k=2, balance="switch", balance_coef=0.5)
    model = convert(Graph2Seq(GraphsGPTConfig(**shape, num_words=2)).double(), config).train()
    generator = torch.Generator().manual_seed(0)
    molecules = []
    for length in (7, 3):
        table = torch.randint(0, 2, (4, length), generator=generator).short()
        molecules.append(table.numpy())
    inputs = entered(model, [{"batch": collate([molecule])} for molecule in molecules])
    model(collate(molecules))
    torch.testing.assert_close(aux_loss(model), expected_loss(model, inputs, config))


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_capacity_is_that_of_the_rows_without_padding(side: str, build: Build) -> None:
    """First layer: the same inputs. What the experts get equals the capacity of the real tokens by themselves."""
    model = converted(build).train()
    first = layers(model)[0]
    inputs = torch.cat(entered(model, [{"input_ids": row} for row in rows()])[0])
    expected = within_capacity(first.router(inputs), 0.8)
    got: list[tuple[Tensor, ...]] = []
    first.experts.register_forward_pre_hook(lambda module, args: got.append(args))
    for filler in (0, 40):
        batch = padded(side, filler)
        model(**batch)
        real = batch["attention_mask"].flatten().bool()
        _, index, weight = got.pop()
        assert torch.equal(index[real], expected.index) and (index[real] == 4).any()
        torch.testing.assert_close(weight[real], expected.weight)
        assert (index[~real] == 4).all() and not weight[~real].any()


def losses(model: Any) -> float:
    model.train()(**padded("left", 7))
    return float(aux_loss(model).detach())


def test_copies_and_files_go_on_handing_over(build: Build, tmp_path: Path) -> None:
    model = converted(build)
    expected = losses(model)
    assert losses(copy.deepcopy(model)) == expected
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert losses(torch.load(file, weights_only=False)) == expected
    save(model, tmp_path / "saved")
    assert losses(load(tmp_path / "saved")) == expected
    clone = copy.deepcopy(model)
    layers(clone)[0].router.weight.data.zero_()
    assert losses(clone) != expected and losses(model) == expected, "a copy's hooks serve the copy"


def test_replicas_of_data_parallel_training(build: Build, tmp_path: Path) -> None:
    model = converted(build)
    expected = losses(model)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        assert losses(DistributedDataParallel(model)) == expected
    finally:
        dist.destroy_process_group()


def test_the_mask_of_each_pass_when_activations_are_recomputed(build: Build) -> None:
    """Two passes with other masks, then both backward: the recomputation of each has its own mask."""
    model = converted(build)
    plain = two_passes(model)
    model.activation_checkpointing_enable()
    for found, expected in zip(two_passes(model), plain, strict=True):
        torch.testing.assert_close(found, expected)


def two_passes(model: Any) -> list[Tensor]:
    model.train().zero_grad()
    total = torch.zeros((), dtype=torch.float64)
    for side in ("left", "right"):
        batch = padded(side, 9)
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        total = total + model(**batch, labels=labels).loss + aux_loss(model)
    total.backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


def test_a_mixture_that_is_recomputed_by_itself_has_no_mask(build: Build) -> None:
    model = converted(build)
    for block in model.model.layers:
        inner = block.mlp.forward
        block.mlp.forward = lambda x, inner=inner: checkpoint(inner, x, use_reentrant=False)
    out = model.train()(**padded("left", 9)).logits
    with pytest.raises(ModelError, match="checkpoint whole blocks"):
        out.sum().backward()


def test_a_mask_serves_one_call_and_has_to_fit(build: Build) -> None:
    model = converted(build).train()
    layer = layers(model)[0]
    x = torch.randn(2, 9, 32, dtype=torch.float64)
    layer(x)
    without = layer.aux
    model(**padded("left", 9))
    layer(x)
    assert torch.equal(layer.aux, without)
    layer.token_mask = torch.ones(2, 8, dtype=torch.bool)
    with pytest.raises(ModelError, match=r"shape \(2, 8\) does not fit the 18 tokens"):
        layer(x)


def hooked(model: nn.Module) -> int:
    found = [hook for module in model.modules() for hook in module._forward_pre_hooks.values()]
    return sum(isinstance(hook, HandOver) for hook in found)


def test_hooks_are_where_something_counts_tokens_and_only_there(build: Build) -> None:
    model = converted(build)
    assert hooked(model) == 4
    hand_over_masks(model)
    assert hooked(model) == 4
    assert hooked(to_dense(model)) == 0
    assert hooked(convert(build("llama"), MoEConfig())) == 0
    assert hooked(convert(build("timm_vit"), MoEConfig(balance="cv2"))) == 0, "nothing masks patches"
    model = convert_attention(converted(build), AttnMoEConfig(num_experts=4, top_k=3))
    assert hooked(model) == 4 and any(model.model.layers[1].self_attn._forward_pre_hooks)


def test_what_is_taken_out_takes_nothing_else_along(build: Build) -> None:
    """Experts, an attention or an FFN that went do not keep the rest from having its masks."""
    model = converted(build)
    describe(model).blocks[0].remove_mlp()
    describe(model).blocks[1].remove_attention()
    mlp = describe(model).blocks[1].mlp
    assert mlp is not None and mlp.experts is not None
    mlp.experts.keep([0, 1, 3])
    inputs = torch.cat(entered(model.train(), [{"input_ids": row} for row in rows()])[0])
    model(**padded("left", 7))
    config = dataclasses.replace(CONFIG, capacity=None)
    torch.testing.assert_close(aux_loss(model), balance_loss(config, layers(model)[0].router(inputs)))
