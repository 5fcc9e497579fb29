"""LoRA and bottlenecks by name compute what they compute at the same place by anatomy."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.adapters import BottleneckConfig, LoRAConfig, SSFConfig, attach
from sparsebench.models.adapters.kinds.by_name import ByNameConfig
from sparsebench.models.errors import ModelError

PAIRS = {
    "lora": (LoRAConfig(r=3, alpha=5, targets=("q", "v")), ("q_proj", "v_proj")),
    "parallel": (BottleneckConfig(r=3, placement="parallel"), ("mlp",)),
    "sequential": (BottleneckConfig(r=3, activation="relu"), ("mlp",)),
}


@pytest.mark.parametrize("case", PAIRS)
def test_the_same_place_by_name(case: str, build: Callable, shake: Callable, example: Callable, run: Callable) -> None:
    config, modules = PAIRS[case]
    model = build("llama")
    width = None if case == "lora" else 32
    adapters = attach(model, ByNameConfig(modules=modules, adapter=config, width=width))
    shake(adapters)
    expected = attach(build("llama"), config)
    assert expected.count() == adapters.count()
    expected.load_state_dict(adapters.state_dict())
    assert torch.equal(run(expected.model, example(model)), run(model, example(model)))


def test_a_bottleneck_on_a_linear_layer_has_its_width(build: Callable) -> None:
    model = build("llama")
    adapters = attach(model, ByNameConfig(modules=("up_proj",), adapter=BottleneckConfig(r=2)))
    assert adapters.state_dict()["model.layers.0.mlp.up_proj.adapter.up.weight"].shape == (50, 2)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"modules": ("mlp",), "adapter": LoRAConfig(r=2)},
            r"is a transformers\..+LlamaMLP, on which LoRA cannot act: it acts on torch.nn.Linear",
        ),
        ({"modules": ("mlp",), "adapter": BottleneckConfig(r=2)}, "give the width of what it returns"),
        ({"modules": ("act_fn",), "adapter": BottleneckConfig(r=2)}, "without parameters"),
        (
            {"modules": ("up_proj",), "adapter": BottleneckConfig(r=2, placement="parallel")},
            "has 32 inputs and 50 outputs",
        ),
    ],
)
def test_modules_that_cannot_have_it_are_refused(config: dict, message: str, build: Callable) -> None:
    model: nn.Module = build("llama")
    with pytest.raises(ModelError, match=message):
        attach(model, ByNameConfig(**config))


def test_settings_that_need_blocks_are_refused() -> None:
    with pytest.raises(ModelError, match="placement='houlsby' needs to know the blocks"):
        ByNameConfig(modules=("mlp",), adapter=BottleneckConfig(placement="houlsby"))
    with pytest.raises(ModelError, match="must be a LoRAConfig or a BottleneckConfig"):
        ByNameConfig(modules=("mlp",), adapter=SSFConfig())
