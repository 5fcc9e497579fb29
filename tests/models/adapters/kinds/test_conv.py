from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.adapters import attach
from sparsebench.models.adapters.kinds.conv import ConvConfig
from sparsebench.models.anatomy import describe
from sparsebench.models.errors import ModelError

Build = Callable[[str], nn.Module]


def test_equals_the_formula(build: Build) -> None:
    """y + scale up(act(down(y))) pixel by pixel in float64."""
    model = build("efficientnet").double()
    adapters = attach(model, ConvConfig(r=3, scale=0.5, activation="tanh", init="normal", blocks=1))
    ((_, layer),) = adapters.layers()
    channels = layer.adapter.down.in_channels
    x = torch.randn(2, layer.base_layer.conv_pw.in_channels, 3, 4, dtype=torch.float64)
    y = layer.base_layer(x)
    down, up = layer.adapter.down, layer.adapter.up
    pixels = y.permute(0, 2, 3, 1)
    hidden = torch.tanh(pixels @ down.weight.view(3, channels).T + down.bias)
    change = hidden @ up.weight.view(channels, 3).T + up.bias
    torch.testing.assert_close(layer(x), y + 0.5 * change.permute(0, 3, 1, 2))


@pytest.mark.parametrize("family", ["bert", "timm_vit"])
def test_needs_convolutional_blocks(family: str, build: Build) -> None:
    with pytest.raises(ModelError, match="is not a convolutional block: use BottleneckConfig or LoRAConfig"):
        attach(build(family), ConvConfig())
    with pytest.raises(ModelError, match="did you mean 'relu'"):
        ConvConfig(activation="rely")


def test_conv_adapters_are_float32_at_least(build: Build, example: Callable, run: Callable) -> None:
    model = build("efficientnet").bfloat16()
    adapters = attach(model, ConvConfig(r=4, init="normal"))
    assert {weight.dtype for weight in adapters.weights().values()} == {torch.float32}
    assert run(model, example(model)).dtype == torch.bfloat16


def test_conv_count(build: Build) -> None:
    model = build("efficientnet")
    channels = [block.linears[-1].get().out_channels for block in describe(model).blocks]
    assert attach(model, ConvConfig(r=4)).count() == sum(2 * 4 * c + 4 + c for c in channels)
