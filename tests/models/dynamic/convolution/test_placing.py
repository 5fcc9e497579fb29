from typing import Any

import pytest
import timm
import torch
from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.models.dynamic.convolution import ConvConfig
from sparsebench.models.dynamic.convolution.placing import KINDS, convolution_sites, dynamic_convolutions


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
