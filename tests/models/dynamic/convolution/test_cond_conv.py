import pytest
import torch
from timm.layers.cond_conv2d import CondConv2d as TimmCondConv2d

from sparsebench.models.dynamic.convolution import CondConv2d, ConvConfig

from .reference import SHAPES, dynamic, images, largest_difference, plain


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernels", [1, 4])
def test_copies_of_a_convolution_compute_what_it_does(shape: str, kernels: int) -> None:
    conv, x = plain(shape), images()
    layer = CondConv2d.of(conv, ConvConfig(num_kernels=kernels), torch.Generator()).double()
    assert largest_difference(layer(x), conv(x)) < 1e-6


@pytest.mark.parametrize("shape", ["plain", "pointwise", "groups", "stride and dilation", "even kernel"])
def test_equal_to_timm(shape: str) -> None:
    layer, x, size = dynamic(shape, "cond_conv"), images(), SHAPES[shape]
    options = {name: size[name] for name in ("stride", "dilation", "groups") if name in size}
    peer = TimmCondConv2d(
        size["in_channels"],
        size["out_channels"],
        size["kernel_size"],
        padding=0,
        bias=layer.bias is not None,
        num_experts=3,
        **options,
    ).double()
    peer.padding = layer.geometry.padding
    peer.weight.data = layer.bank.data.flatten(1)
    if layer.bias is not None:
        peer.bias.data = layer.bias.data
    shares = layer.factors(x).kernels
    assert shares is not None and (shares.sum(1) - 1).abs().max() > 0.01, "sigmoids need not sum to 1"
    assert largest_difference(layer(x), peer(x, shares)) < 1e-12
