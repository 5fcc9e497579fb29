"""Plans by shapes on the meta device: the published sizes, and what FSDP2 itself gives each process."""

import functools
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import distributed
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from sparsebench.suites.llm.cluster.plan import Plan, local_numel, on_meta, plan
from sparsebench.suites.llm.cluster.recipe import read_recipe, recipe_names

SIZES = {
    "llama_moe_v1_4of16": (6.74, 3.49),
    "llama_moe_v1_2of8": (6.74, 3.49),
    "llama_moe_v1_2of16": (6.74, 2.95),
    "llama_moe_v2_8top2": (8.03, 3.80),
    "v2_1p7top1": (8.03, 3.80),
}
"""Billions of parameters, all and active, as published."""


@functools.cache
def planned(name: str, preset: str | None = None) -> Plan:
    return plan(read_recipe(name), preset)


@pytest.mark.parametrize("name", recipe_names())
def test_published_sizes_fit_into_the_memory(name: str) -> None:
    recipe = read_recipe(name)
    presets = recipe.presets
    if recipe.gpus == 1:
        presets = presets[:1]  # the others have the same shapes as on eight
    for preset in presets:
        found = planned(name, preset)
        total, active = SIZES[preset]
        assert found.total / 1e9 == pytest.approx(total, abs=0.01)
        assert found.active / 1e9 == pytest.approx(active, abs=0.01)
        assert 0.3 < found.memory.total / 1e9 / recipe.gigabytes < 0.95
        assert found.lines()[-1] == "reckoned from shapes; not run here"


def test_memory_of_eight_gpus_by_hand() -> None:
    """AdamW: 4 bytes of weight, 4 of gradient and 8 of state for each parameter, an eighth of them on each GPU."""
    found = planned("v1_8gpu", "llama_moe_v1_4of16")
    states = found.memory.weights + found.memory.gradients + found.memory.optimizer
    assert found.trained == found.total
    assert states == pytest.approx(16 * found.total / 8, rel=1e-4)
    assert found.memory.logits == 8 * 4096 * 32000 * 16
    block = (found.total - 2 * 32000 * 4096 - 4096) // 32
    assert found.memory.gathered == 2 * block * 2


def test_memory_of_one_gpu_by_hand() -> None:
    """Experts and routers alone train, in float32; the rest is there in bfloat16."""
    found = planned("v2_1gpu", "llama_moe_v2_8top2")
    experts = 32 * 3 * 4096 * 14336
    assert found.trained == experts + 32 * 8 * 4096
    assert found.memory.weights == 4 * found.trained + 2 * (found.total - found.trained)
    assert found.memory.gradients == 4 * found.trained
    assert found.memory.optimizer < 0.01 * found.memory.weights


def test_the_lines_say_the_step() -> None:
    lines = planned("v1_8gpu", "llama_moe_v1_2of16").lines()
    assert "2.96 billion work on a token" in lines[1]  # 2.951 published, and 4 million of routers and their noise
    assert "13,624 steps of 14.68 M tokens (8 GPUs × 56 × 8 rows of 4,096)" in lines[3]
    with pytest.raises(ValueError, match="'cmoe_3p1of8' is no preset of this recipe"):
        plan(read_recipe("v1_8gpu"), "cmoe_3p1of8")


@pytest.fixture
def first_of_eight() -> Iterator[None]:
    """The first of eight processes that talk to nobody."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    distributed.init_process_group("fake", rank=0, world_size=8, store=FakeStore())
    yield
    distributed.destroy_process_group()


def test_parts_are_those_of_fully_shard(first_of_eight: None) -> None:
    """Two blocks are enough: all are alike."""
    recipe = read_recipe("v1_8gpu")
    recipe = replace(recipe, shape={**recipe.shape, "num_hidden_layers": 2})
    model = on_meta(recipe, recipe.presets[0])
    expected = {name: local_numel(parameter, 8) for name, parameter in model.named_parameters()}
    for layer in model.model.layers:
        fully_shard(layer)
    fully_shard(model)
    for name, parameter in model.named_parameters():
        assert isinstance(parameter, DTensor)
        assert parameter.to_local().numel() == expected[name], name
    assert torch.device("meta") == next(model.parameters()).device
