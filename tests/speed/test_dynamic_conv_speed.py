"""Dynamic convolutions beside the static one, the released layer of PAD-Net and timm's CondConv2d.

Every variant computes its own attention. "released" is its arithmetic: K products, their sum, the mask, one
grouped convolution. The floor is the static convolution of the same size: a dynamic layer has its work to do and the
kernels to mix. Where the released layer or timm's is already near that floor (large maps and 1 x 1 kernels, where
weights are few beside features) nothing can be much faster.
"""

import copy
from collections.abc import Callable

import pytest
import torch
from timm.layers.cond_conv2d import CondConv2d as TimmCondConv2d
from torch import Tensor, nn

from sparsebench.models.dynamic import ConvConfig
from sparsebench.models.dynamic.convolution import CondConv2d, DyConv2d

from .groups import Timed, Variant, of_model
from .released import as_released
from .scope import FULL, LONG

VARIANTS = {
    "static": "floor",
    "released": "peer",
    "released, partition .3": "peer",
    "dynamic": "ours",
    "partition .3, rows": "ours",
    "partition .1, rows": "ours",
    "partition .3, weights": "ours",
}
SHAPES = [(64, 56, 3), (128, 28, 3), (256, 14, 3), (512, 7, 3), (256, 14, 1), (512, 7, 1)]
"""Channels, height and width, kernel: of the four stages of ResNet-18, and of two bottlenecks."""
QUICK = [(256, 14, 3)]
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
BATCH, KERNELS = 8, 4


def conv(channels: int, kernel: int) -> nn.Conv2d:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)


def make(name: str, channels: int, kernel: int) -> nn.Module:
    """A layer of four different kernels, with a mask if its name says so."""
    static = conv(channels, kernel)
    if name == "static":
        return static
    config = ConvConfig(num_kernels=KERNELS, noise=0.5, temperature=1)
    layer = DyConv2d.of(static, config, torch.Generator().manual_seed(0))
    if "partition" in name:
        layer.set_partition(mask(layer, 0.1 if "partition .1" in name else 0.3, name))
    if "released" in name:
        return as_released(layer)
    return layer


def mask(layer: DyConv2d, ratio: float, name: str) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if "rows" in name:
        rows = torch.randperm(layer.out_channels, generator=generator) < round(ratio * layer.out_channels)
        return rows.view(-1, 1, 1, 1).expand(layer.weight_shape)
    return torch.rand(layer.weight_shape, generator=generator) < ratio


def images(channels: int, size: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(BATCH, channels, size, size, generator=torch.Generator().manual_seed(2)).to(dtype)


def check(name: str, layer: nn.Module, x: Tensor) -> None:
    """The same result as the released arithmetic in float64."""
    if not isinstance(layer, DyConv2d):
        return
    slow = as_released(copy.deepcopy(layer).double())
    some = x[:2]
    expected = slow(some.double())
    error = ((layer(some).double() - expected).norm() / expected.norm()).item()
    assert error < (1e-5 if x.dtype == torch.float32 else 3e-2), name


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES if FULL else QUICK, ids=str)
@pytest.mark.parametrize("name", VARIANTS)
def test_inference(name: str, shape: tuple[int, int, int], dtype: str, compare: Callable[..., Timed]) -> None:
    channels, size, kernel = shape
    x = images(channels, size, DTYPES[dtype])

    def variant(name: str) -> Variant:
        layer = make(name, channels, kernel).to(x.dtype).eval()
        check(name, layer, x)
        return of_model(torch.no_grad()(lambda: layer(x)), VARIANTS[name], layer, x)

    title = f"convolution {kernel} x {kernel}, {channels} channels, {size} x {size}, batch {BATCH}, {dtype}"
    compare(name, VARIANTS, variant, group=title)


@LONG
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", VARIANTS)
def test_training(name: str, shape: tuple[int, int, int], compare: Callable[..., Timed]) -> None:
    """Forward and backward; the input needs a gradient, as in the middle of a network."""
    channels, size, kernel = shape
    x = images(channels, size, torch.float32).requires_grad_()

    def variant(name: str) -> Variant:
        layer = make(name, channels, kernel)
        trained = [x, *(parameter for parameter in layer.parameters() if parameter.requires_grad)]
        upstream = torch.randn_like(layer(x).detach())
        return of_model(lambda: torch.autograd.grad(layer(x), trained, upstream), VARIANTS[name], layer, x)

    title = f"step of a convolution {kernel} x {kernel}, {channels} channels, {size} x {size}, batch {BATCH}"
    compare(name, VARIANTS, variant, group=title)


COND_CONV = {"timm": "peer", "sparsebench": "ours"}


class TimmCond(nn.Module):
    """timm's layer with the routing that its blocks compute for it."""

    def __init__(self, layer: CondConv2d) -> None:
        super().__init__()
        self.routing = layer.routing
        kernel = layer.kernel_size[0]
        self.conv = TimmCondConv2d(
            layer.in_channels, layer.out_channels, kernel, padding=kernel // 2, num_experts=KERNELS
        )
        self.conv.weight.data = layer.bank.data.flatten(1)

    def forward(self, x_BIHW: Tensor) -> Tensor:
        return self.conv(x_BIHW, self.routing(x_BIHW))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES if FULL else QUICK, ids=str)
@pytest.mark.parametrize("name", COND_CONV)
def test_cond_conv(name: str, shape: tuple[int, int, int], dtype: str, compare: Callable[..., Timed]) -> None:
    channels, size, kernel = shape
    x = images(channels, size, DTYPES[dtype])
    config = ConvConfig(kind="cond_conv", num_kernels=KERNELS, noise=0.5)
    ours = CondConv2d.of(conv(channels, kernel), config, torch.Generator().manual_seed(0)).to(x.dtype).eval()
    peer = TimmCond(ours).eval()
    assert ((ours(x) - peer(x)).norm() / peer(x).norm()).item() < (1e-5 if dtype == "float32" else 2e-2)
    layers = {"timm": peer, "sparsebench": ours}

    def variant(name: str) -> Variant:
        return of_model(torch.no_grad()(lambda: layers[name](x)), COND_CONV[name], layers[name], x)

    title = f"CondConv {kernel} x {kernel}, {channels} channels, {size} x {size}, batch {BATCH}, {dtype}"
    compare(name, COND_CONV, variant, group=title)
