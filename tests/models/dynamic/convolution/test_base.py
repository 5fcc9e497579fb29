import pytest
import torch
from torch import nn

from sparsebench.models.dynamic.convolution import ConvConfig, DyConv2d, DynamicConv2d, Geometry
from sparsebench.models.errors import ModelError

from .reference import SHAPES, dynamic, images, largest_difference, plain


@pytest.mark.parametrize("shape", SHAPES)
def test_all_dynamic_partition_is_the_dynamic_layer(shape: str) -> None:
    layer, x = dynamic(shape), images()
    before = layer(x)
    layer.set_partition()
    assert torch.equal(layer(x), before)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_static_partition_is_a_plain_convolution(shape: str) -> None:
    """With equal biases, which are never partitioned."""
    layer, x, conv = dynamic(shape), images(), plain(shape)
    layer.set_partition(torch.zeros(layer.weight_shape) == 1, static=conv.weight)
    if layer.bias is not None:
        assert conv.bias is not None
        layer.bias.data[:] = conv.bias
    assert largest_difference(layer(x), conv(x)) < 1e-12


def test_it_says_what_a_convolution_says() -> None:
    conv = plain("stride and dilation")
    layer = dynamic("stride and dilation")
    for name in ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups"):
        assert getattr(layer, name) == getattr(conv, name)
    assert "kernels=3" in repr(layer)


def test_a_state_loads_with_its_partition() -> None:
    layer, x = dynamic("plain"), images()
    layer.set_partition(torch.rand(layer.weight_shape) < 0.5)
    other = dynamic("plain", num_kernels=3)
    other.set_partition()
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x))


def test_what_cannot_be_one() -> None:
    with pytest.raises(ModelError, match=r"bank of \(2, 4, 3, 3\)"):
        DynamicConv2d(torch.zeros(2, 4, 3, 3), None, Geometry(kernel=(3, 3)))
    with pytest.raises(ModelError, match=r"kernels of \(1, 1\)"):
        DynamicConv2d(torch.zeros(2, 4, 3, 3, 3), None, Geometry(kernel=(1, 1)))
    with pytest.raises(ModelError, match="in 3 groups"):
        DynamicConv2d(torch.zeros(2, 4, 3, 3, 3), None, Geometry(kernel=(3, 3), groups=3))
    layer = DyConv2d.of(nn.Conv2d(6, 4, 3), ConvConfig(), torch.Generator())
    with pytest.raises(ModelError, match=r"input \(6, 9, 9\)"):
        layer(torch.zeros(6, 9, 9))
