import torch

from sparsebench.models.dynamic.convolution import ConvConfig, DyConv2d

from .reference import images, largest_difference, plain


def test_noise_and_reduction_are_used() -> None:
    conv, x = plain("plain"), images()
    layer = DyConv2d.of(conv, ConvConfig(noise=0.1, reduction=2), torch.Generator().manual_seed(0)).double()
    assert 0.001 < largest_difference(layer(x), conv(x)) < 0.3
    assert layer.attention.squeeze.weight.shape == (3, 6)


def test_kernels_are_averaged_by_the_attention() -> None:
    """A sample whose share is all on one kernel gets the convolution with that kernel."""
    conv, x = plain("plain"), images()
    layer = DyConv2d.of(conv, ConvConfig(num_kernels=2), torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        layer.bank[1] *= -2
        layer.attention.excite.weight.zero_()
        layer.attention.excite.bias.copy_(torch.tensor([-1e4, 1e4]))
    assert conv.bias is not None
    expected = -2 * conv(x) + 3 * conv.bias.view(-1, 1, 1)
    assert largest_difference(layer(x), expected) < 1e-12
