"""The recipe of a converted model, and the shape that is built from it; files are in `models/hub/test_saving.py`."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.hub.derived_classes import source_of
from sparsebench.models.moe import AttnMoEConfig, MoEConfig, MoEFFN, convert
from sparsebench.models.moe.checkpoint.skeleton import build_layers, layers_of

Build = Callable[[str], nn.Module]
CONFIGS = {
    "plain": MoEConfig(num_experts=4),
    "shared, aligned": MoEConfig(num_experts=6, num_shared=2, align=True, scale="calibrated", router="mlp"),
    "glu": MoEConfig(num_experts=5, num_shared=1, split="cmoe", router="glu", router_init="analytic"),
    "overlap": MoEConfig(num_experts=4, split="gradient_share", clusters="tokens", importance="activation"),
    "bias": MoEConfig(
        num_experts=4, balance="bias", densemixer=True, attn=AttnMoEConfig(num_experts=2, top_k=1, balance="bias")
    ),
    "attention": MoEConfig(num_experts=4, layers=(1,), attn=AttnMoEConfig(num_experts=2, top_k=1)),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_skeleton_has_the_shape_of_the_model_and_no_memory(name: str, build: Build, example: Callable) -> None:
    model = convert(build("llama"), CONFIGS[name], [example(build("llama"))])
    recipe = json.loads(json.dumps(layers_of(model)))  # as it is read from a file
    skeleton: Any = build("llama").to("meta")
    build_layers(skeleton, recipe)
    tensors = skeleton.state_dict()
    assert {key: value.shape for key, value in tensors.items()} == {
        key: value.shape for key, value in model.state_dict().items()
    }
    assert all(value.is_meta for value in tensors.values())
    for made, original in zip(skeleton.modules(), model.modules(), strict=True):
        assert type(made) is source_of(type(original))  # the class that knows what was changed is given later
        if isinstance(made, MoEFFN):
            assert made.config == original.config and made.scale == original.scale
            assert made.experts.sizes == original.experts.sizes


def test_a_dense_model_has_no_recipe(build: Build) -> None:
    with pytest.raises(ModelError, match="nothing in the model is made by"):
        layers_of(build("llama"))


def test_layers_that_stayed_dense_stay_dense(build: Build) -> None:
    recipe = layers_of(convert(build("llama"), MoEConfig(layers=(1,))))
    assert list(recipe["blocks"]) == ["1"] and not recipe["attention"]
    skeleton: Any = build("llama").to("meta")
    build_layers(skeleton, recipe)
    assert [isinstance(layer.mlp, MoEFFN) for layer in skeleton.model.layers] == [False, True]
    assert torch.device("meta") == next(skeleton.parameters()).device


def test_folders_from_before_there_was_a_field_have_its_default(build: Build) -> None:
    config = MoEConfig(num_experts=4, balance="cv2", attn=AttnMoEConfig(num_experts=2, top_k=1))
    recipe = layers_of(convert(build("llama"), config))
    for fields in (*(block["config"] for block in recipe["blocks"].values()), *recipe["attention"].values()):
        for name in ("bias_rate", "z_coef", "densemixer"):
            del fields[name]
    skeleton: Any = build("llama").to("meta")
    build_layers(skeleton, recipe)
    assert [layer.mlp.config for layer in skeleton.model.layers] == [config] * 2
    assert not [name for name in skeleton.state_dict() if "choice_bias" in name]
