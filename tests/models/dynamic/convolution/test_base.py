import pytest
import torch
from torch import nn

from sparsebench.models.dynamic.convolution import ConvConfig, DyConv2d, DynamicConv2d, Geometry
from sparsebench.models.dynamic.convolution.placing import KINDS
from sparsebench.models.errors import ModelError

from .reference import SHAPES, dynamic, images, largest_difference, plain


@pytest.mark.parametrize(("kind", "tolerance"), [("dy_conv", 1e-12), ("cond_conv", 1e-6), ("od_conv", 1e-12)])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kernels", [1, 4])
def test_copies_of_a_convolution_compute_what_it_does(kernels: int, shape: str, kind: str, tolerance: float) -> None:
    conv, x = plain(shape), images()
    config = ConvConfig(kind=kind, num_kernels=kernels)  # type: ignore[arg-type]
    layer = KINDS[kind](conv, config, torch.Generator().manual_seed(0)).double().eval()
    assert layer.bank.shape == (kernels, *conv.weight.shape)
    assert largest_difference(layer(x), conv(x)) < tolerance


def test_it_says_what_a_convolution_says() -> None:
    conv = plain("stride and dilation")
    layer = dynamic("stride and dilation")
    for name in ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups"):
        assert getattr(layer, name) == getattr(conv, name)
    assert "kernels=3" in repr(layer)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("partitioned", [False, True])
def test_channels_last_changes_nothing(kind: str, partitioned: bool) -> None:
    layer, x = dynamic("plain", kind), images()
    if partitioned:
        layer.set_partition(torch.rand(layer.weight_shape, generator=torch.Generator().manual_seed(3)) < 0.3)
    before = layer(x)
    layer.to(memory_format=torch.channels_last)
    after = layer(x.to(memory_format=torch.channels_last))
    assert largest_difference(after, before) < 1e-6 and layer.bank.is_contiguous()
    after.square().mean().backward()
    assert layer.bank.grad is not None and layer.bank.grad.isfinite().all()


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
