import pytest
import torch

from sparsebench.models.dynamic.convolution import ConvConfig, ODConv2d
from sparsebench.models.dynamic.convolution.od_conv import AttentionVector
from sparsebench.models.errors import ModelError

from .reference import SHAPES, dynamic, images, largest_difference, plain, shaken


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernels", [1, 4])
def test_copies_of_a_convolution_compute_what_it_does(shape: str, kernels: int) -> None:
    conv, x = plain(shape), images()
    layer = ODConv2d.of(conv, ConvConfig(kind="od_conv", num_kernels=kernels), torch.Generator()).double().eval()
    assert largest_difference(layer(x), conv(x)) < 1e-12


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


def test_masks_on_attentions() -> None:
    """λ_d M ⊙ sigmoid(fc / τ) + λ_s (1 - M) ⊙ static; the released ones add both everywhere, on memory never set."""
    vector, hidden = AttentionVector(4, 3).double(), torch.randn(5, 4, dtype=torch.float64)
    vector.set_partition(torch.tensor([True, False, True]))
    shaken(vector)
    assert vector.partition is not None
    scale = 2 * torch.sigmoid(vector.partition.phi)
    whole = torch.sigmoid((hidden @ vector.fc.weight.T + vector.fc.bias) / 2)
    expected = scale * whole
    expected[:, 1] = (2 - scale) * vector.partition.static[1]
    torch.testing.assert_close(vector(hidden, torch.tensor(2.0)), expected)


def test_partitions_of_kernels_run() -> None:
    """The released layer sums its weight over the outputs once too often and fails on any input."""
    layer, x = dynamic("plain", "od_conv"), images()
    layer.set_partition(torch.rand(layer.weight_shape) < 0.5)
    assert layer(x).shape == (3, 8, 9, 9)


def test_one_image_cannot_be_trained_on() -> None:
    layer = dynamic("plain", "od_conv").train()
    with pytest.raises(ModelError, match="at least 2 images"):
        layer(images(1))
    layer(images(2))
