import pytest
import torch

from sparsebench.models.dynamic.convolution import ConvConfig, ODConv2d
from sparsebench.models.errors import ModelError

from .reference import dynamic, images, largest_difference, plain


def test_which_attentions_there_are() -> None:
    depthwise = dynamic("depthwise", "od_conv").attention
    pointwise = dynamic("pointwise", "od_conv", num_kernels=1).attention
    assert depthwise.outputs is None and depthwise.taps is not None and depthwise.kernels is not None
    assert pointwise.taps is None and pointwise.kernels is None and pointwise.outputs is not None
    assert pointwise.squeeze.weight.shape == (16, 6), "at least 16 hidden units"


@pytest.mark.parametrize("shape", ["plain", "pointwise", "depthwise"])
def test_static_start_is_the_layer_as_it_is(shape: str) -> None:
    """A partition of a fresh layer changes nothing, whatever is dynamic: kernels and attentions."""
    conv, x = plain(shape), images()
    layer = ODConv2d.of(conv, ConvConfig(kind="od_conv"), torch.Generator()).double().eval()
    attention = layer.attention
    for part in (layer, attention.inputs, attention.outputs, attention.taps):
        if part is not None:
            mask = torch.rand(part.weight_shape, generator=torch.Generator().manual_seed(0)) < 0.5
            part.set_partition(mask)
    assert largest_difference(layer(x), conv(x)) < 1e-12


def test_the_released_attentions_are_those_that_can_have_a_partition() -> None:
    """For channels, filters and taps, each with a pair of scales of its own; the one for kernels has none."""
    attention = dynamic("plain", "od_conv").attention
    assert list(attention.vectors()) == ["inputs", "outputs", "taps"]
    assert list(dynamic("depthwise", "od_conv").attention.vectors()) == ["inputs", "taps"]
    assert list(dynamic("pointwise", "od_conv").attention.vectors()) == ["inputs", "outputs"]
    assert attention.kernels is not None and not hasattr(attention.kernels, "partition")
    for number, vector in enumerate(attention.vectors().values()):
        vector.set_partition()
        vector.partition.phi.data.fill_(float(number))
    scales = [vector.partition.lambda_dynamic.item() for vector in attention.vectors().values()]
    assert len(set(scales)) == 3
    for vector, scale in zip(attention.vectors().values(), scales, strict=True):
        assert vector.partition.lambda_static.item() + scale == pytest.approx(2)


def test_static_kernels_start_with_the_tap_factors_that_are_there() -> None:
    """Those of a hidden vector of zeros at the attention's temperature, constants included."""
    layer = dynamic("plain", "od_conv")
    taps = layer.attention.taps
    expected = torch.sigmoid(taps.fc.bias.detach() / 2.0)
    torch.testing.assert_close(layer.static_start(), layer.bank.detach().mean(0) * expected.view(3, 3))
    taps.set_partition(torch.arange(9) < 4)
    taps.partition.static.data.fill_(3.0)
    expected = torch.where(torch.arange(9) < 4, expected, 3.0)
    torch.testing.assert_close(layer.static_start(), layer.bank.detach().mean(0) * expected.view(3, 3))


def test_one_image_cannot_be_trained_on() -> None:
    layer = dynamic("plain", "od_conv").train()
    with pytest.raises(ModelError, match="at least 2 images"):
        layer(images(1))
    layer(images(2))
