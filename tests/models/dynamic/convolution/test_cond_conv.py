import pytest
from timm.layers.cond_conv2d import CondConv2d as TimmCondConv2d

from .reference import SHAPES, dynamic, images, largest_difference


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
