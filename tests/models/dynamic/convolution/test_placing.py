from typing import Any

import pytest
import timm
import torch
from torch import nn

from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.anatomy import describe
from sparsebench.models.dynamic.convolution import ConvConfig
from sparsebench.models.dynamic.convolution.placing import (
    KINDS,
    convolution_sites,
    dynamic_convolutions,
    named_convolutions,
)
from sparsebench.models.errors import ModelError


def paths(name: str, **options: Any) -> list[str]:
    anatomy = describe(timm.create_model(name))
    return [site.path for site, _ in dynamic_convolutions(anatomy, ConvConfig(**options))]


def test_the_chosen_convolutions_of_a_resnet() -> None:
    first = paths("resnet10t", blocks=(1,))
    assert first == ["layer2.0.conv1", "layer2.0.conv2", "layer2.0.downsample.1"]
    assert paths("resnet10t", blocks=(1,), shortcuts=False) == first[:2]
    assert paths("resnet10t", blocks=(1,), which="pointwise") == first[2:]
    assert len(paths("resnet10t")) == 11


def test_the_chosen_convolutions_of_a_mobilenet() -> None:
    every = paths("mobilenetv2_050")
    assert every[:2] == ["blocks.0.0.conv_dw", "blocks.0.0.conv_pw"] and every[-1] == "conv_head"
    assert paths("mobilenetv2_050", last=False) == every[:-1]
    depthwise = paths("mobilenetv2_050", which="depthwise")
    assert len(depthwise) == 17 and all(path.endswith("conv_dw") for path in depthwise)
    assert sorted(depthwise + paths("mobilenetv2_050", which="pointwise")) == sorted(every)


def test_convnext_has_its_depthwise_convolutions() -> None:
    """And those of its FFNs where these are convolutions, as in its smallest sizes."""
    anatomy = describe(timm.create_model("convnext_atto"))
    assert len(convolution_sites(anatomy, ConvConfig())) == 3 * len(anatomy.blocks)
    depthwise = paths("convnext_atto", which="depthwise")
    assert len(depthwise) == len(anatomy.blocks) and all(path.endswith("conv_dw") for path in depthwise)


def test_convolutions_by_name() -> None:
    """A whole name, its own or that of a module around it; what `which` says holds, too."""
    model = timm.create_model("resnet10t")

    def named(modules: str, **options: Any) -> list[str]:
        return [site.path for site, _ in named_convolutions(model, ConvConfig(**options), modules)]

    late = named("layer[34]")
    assert late == [path for path in paths("resnet10t") if path.startswith(("layer3.", "layer4."))]
    assert named("layer[34]", which="pointwise") == [path for path in late if "downsample" in path]
    assert named(r".*\.conv2") == [f"layer{stage}.0.conv2" for stage in (1, 2, 3, 4)]
    assert named("conv1") == ["conv1.0", "conv1.3", "conv1.6"], "the stem, and no convolution of a block"


@pytest.mark.parametrize(
    ("modules", "options", "message"),
    [
        ("layer[5", {}, r"modules='layer\[5' is no regular expression: unterminated character set"),
        ("layer", {}, "no convolution of this ResNet is in a module that modules='layer' matches as a whole"),
        ("layer1", {"which": "depthwise"}, "with which='depthwise'"),
        ("layer1", {"blocks": (0,)}, "leave blocks, shortcuts and last of the configuration out"),
        ("layer1", {"shortcuts": False}, "leave blocks, shortcuts and last of the configuration out"),
    ],
)
def test_names_that_cannot_be(modules: str, options: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        named_convolutions(timm.create_model("resnet10t"), ConvConfig(**options), modules)


def test_no_name_reaches_below_an_adapter() -> None:
    model = timm.create_model("mobilenetv2_050")
    attach(model, LoRAConfig(targets=("linears",)))
    with pytest.raises(ModelError, match=r"an adapter lies around blocks\..*base_layer: make the model dynamic first"):
        named_convolutions(model, ConvConfig(), "blocks")


@pytest.mark.parametrize("kind", KINDS)
def test_layers_follow_device_type_and_mode(kind: str) -> None:
    model = timm.create_model("resnet10t").double().eval()
    config = ConvConfig(kind=kind, blocks=(0,), seed=3)  # type: ignore[arg-type]
    layers = [layer for _, layer in dynamic_convolutions(describe(model), config)]
    again = [layer for _, layer in dynamic_convolutions(describe(model), config)]
    for layer, twin in zip(layers, again, strict=True):
        assert not layer.training and {p.dtype for p in layer.parameters()} == {torch.float64}
        assert all(torch.equal(p, q) for p, q in zip(layer.parameters(), twin.parameters(), strict=True))
        assert not isinstance(layer, nn.Conv2d)
