"""Dynamic convolutions by hand: one sample after the other, every kernel by itself, in float64."""

import copy
from typing import Any

import timm
import torch
from torch import Tensor, nn

from sparsebench.models.dynamic import ConvConfig
from sparsebench.models.dynamic.convolution import DynamicConv2d
from sparsebench.models.dynamic.convolution.placing import KINDS

SHAPES: dict[str, dict[str, Any]] = {
    "plain": {"in_channels": 6, "out_channels": 8, "kernel_size": 3, "padding": 1},
    "pointwise": {"in_channels": 6, "out_channels": 8, "kernel_size": 1},
    "pointwise with stride": {"in_channels": 6, "out_channels": 8, "kernel_size": 1, "stride": 2},
    "groups": {"in_channels": 6, "out_channels": 8, "kernel_size": 3, "groups": 2, "bias": False},
    "depthwise": {"in_channels": 6, "out_channels": 6, "kernel_size": 5, "groups": 6, "padding": 2, "stride": 2},
    "stride and dilation": {"in_channels": 6, "out_channels": 4, "kernel_size": 3, "stride": (2, 1), "dilation": 2},
    "even kernel": {"in_channels": 6, "out_channels": 4, "kernel_size": (2, 4), "padding": (1, 2)},
    "same": {"in_channels": 6, "out_channels": 4, "kernel_size": 3, "padding": "same"},
    "reflected": {"in_channels": 6, "out_channels": 4, "kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
}


def images(batch: int = 3, size: int = 9, channels: int = 6) -> Tensor:
    return torch.randn(batch, channels, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def network(name: str = "resnet10t") -> Any:
    """One of timm's, the same at each call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return timm.create_model(name, num_classes=5).eval()


def pictures() -> Tensor:
    """Two of them for `network`."""
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def plain(shape: str) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Conv2d(**SHAPES[shape]).double()


def shaken(layer: nn.Module, seed: int = 2) -> None:
    """Every parameter moved, so that kernels differ and attentions depend on the input."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in layer.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data += 0.3 * noise.to(parameter)


def dynamic(shape: str, kind: str = "dy_conv", **options: Any) -> Any:
    """A layer of three kernels with random weights, in float64 and eval mode."""
    config = ConvConfig(kind=kind, **({"temperature": 2.0, "num_kernels": 3} | options))  # type: ignore[arg-type]
    layer = KINDS[kind](plain(shape), config, torch.Generator().manual_seed(0)).double().eval()
    shaken(layer)
    return layer


def random_mask(layer: DynamicConv2d, structure: str) -> Tensor:
    """A mask of about half of the weight: of rows, channels or single entries; or all or nothing."""
    shape = layer.weight_shape
    draw = torch.rand(shape, generator=torch.Generator().manual_seed(3)) < 0.5
    if structure == "row":
        return (torch.arange(shape[0]) % 2 == 1).view(-1, 1, 1, 1).expand(shape).clone()
    if structure == "channel":
        return (torch.arange(shape[1]) % 2 == 0).view(1, -1, 1, 1).expand(shape).clone()
    if structure == "weight":
        return draw
    return torch.full(shape, structure == "dynamic")


def by_hand(layer: DynamicConv2d, x_BIHW: Tensor, conv: nn.Conv2d) -> Tensor:
    """Sample by sample; `conv` gives stride, padding, dilation and groups."""
    factors = layer.factors(x_BIHW)
    results = []
    for place, x_IHW in enumerate(x_BIHW):
        shares = torch.ones(1, dtype=x_BIHW.dtype) if factors.kernels is None else factors.kernels[place]
        weight = torch.zeros(layer.weight_shape, dtype=x_BIHW.dtype)
        for share, kernel in zip(shares, layer.bank, strict=True):
            weight = weight + share * kernel
        if factors.taps is not None:
            weight = weight * factors.taps[place].view(layer.kernel_size)
        if factors.inputs is not None:
            x_IHW = x_IHW * factors.inputs[place].view(-1, 1, 1)
        bias = None if layer.bias is None else shares @ layer.bias
        y_OHW = convolved(conv, x_IHW, used(layer, weight), bias)
        if factors.outputs is not None:
            y_OHW = y_OHW * factors.outputs[place].view(-1, 1, 1)
        results.append(y_OHW)
    return torch.stack(results)


def used(layer: DynamicConv2d, dynamic_weight: Tensor) -> Tensor:
    """Entry by entry, as the mask says."""
    partition = layer.partition
    if partition is None:
        return dynamic_weight
    scale_dynamic = 2 / (1 + torch.exp(-partition.phi)) if partition.scale in ("both", "dynamic") else 1
    scale_static = 2 - 2 / (1 + torch.exp(-partition.phi)) if partition.scale in ("both", "static") else 1
    static = partition.static * scale_static * (partition.scale != "pruned")
    return torch.where(partition.mask, dynamic_weight * scale_dynamic, static)


def convolved(conv: nn.Conv2d, x_IHW: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A plain convolution of one image, by a copy of `conv` that holds these weights."""
    alike = copy.deepcopy(conv)
    del alike.weight, alike.bias
    alike.weight, alike.bias = weight, bias
    return alike(x_IHW[None])[0]


def largest_difference(first: Tensor, second: Tensor) -> float:
    """Relative to the largest entry."""
    return ((first - second).abs().max() / second.abs().max()).item()
