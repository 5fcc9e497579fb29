"""The arithmetic of the released layers, written out here from their formulas, on given weights."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.dynamic.convolution import DynamicConv2d

from .reference import SHAPES, dynamic, images, largest_difference, random_mask, shaken

SYMMETRIC = [name for name, shape in SHAPES.items() if shape.get("padding_mode") is None and name != "same"]


def released(layer: DynamicConv2d, x: Tensor) -> Tensor:
    """sum_k(kernel_k * alpha_k) * mask * phi + static * (1 - mask) * (2 - phi), in a convolution of B groups."""
    batch = x.shape[0]
    alphas = layer.factors(x).kernels
    assert alphas is not None and layer.partition is not None
    mask, phi = layer.partition.mask[None].to(x.dtype), 2 * torch.sigmoid(layer.partition.phi)
    dynamic_weight = torch.sum(torch.mul(layer.bank, alphas.view(batch, -1, 1, 1, 1, 1)), dim=1)
    weight = mask * dynamic_weight * phi + layer.partition.static * (1 - mask) * (2 - phi)
    bias = None
    if layer.bias is not None:
        bias = torch.sum(torch.mul(layer.bias[None], alphas.view(batch, -1, 1)), dim=1).view(-1)
    g = layer.geometry
    y = F.conv2d(
        x.reshape(1, -1, *x.shape[2:]),
        weight.view(-1, *weight.shape[-3:]),
        bias,
        g.stride,
        g.padding,
        g.dilation,
        g.groups * batch,
    )
    return y.view(batch, -1, *y.shape[-2:])


@pytest.mark.parametrize("kind", ["dy_conv", "cond_conv"])
@pytest.mark.parametrize("shape", SYMMETRIC)
def test_faithful_equals_the_release_and_the_fast_forms(shape: str, kind: str) -> None:
    layer, x = dynamic(shape, kind, faithful=True), images()
    layer.set_partition(random_mask(layer, "weight"))
    shaken(layer)
    expected = released(layer, x)
    assert torch.equal(layer(x), expected), "the same operations in the same order"
    layer.faithful = False
    assert largest_difference(layer(x), expected) < 1e-12


@pytest.mark.parametrize("scale", ["both", "static", "dynamic", "none", "pruned"])
def test_every_scale_runs(scale: str) -> None:
    """In the release "s" and "d" raise an error: they read `phi`, and the parameter is `phi_d`."""
    layer, x = dynamic("plain", "od_conv", faithful=True), images()
    layer.set_partition(random_mask(layer, "row"), scale=scale)  # type: ignore[arg-type]
    shaken(layer)
    slow = layer(x)
    layer.faithful = False
    assert largest_difference(layer(x), slow) < 1e-12


def test_without_a_partition() -> None:
    for kind in ("dy_conv", "od_conv"):
        layer, x = dynamic("plain", kind, faithful=True), images()
        slow = layer(x)
        layer.faithful = False
        assert largest_difference(layer(x), slow) < 1e-12
    single, x = dynamic("plain", "od_conv", faithful=True, num_kernels=1), images()
    slow = single(x)
    single.faithful = False
    assert largest_difference(single(x), slow) < 1e-12
