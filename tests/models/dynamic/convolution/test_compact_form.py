"""The compact form of one convolution against its masked form, for every geometry and kind of mask."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.dynamic.convolution.config import ConvConfig
from sparsebench.models.dynamic.convolution.dy_conv import DyConv2d
from sparsebench.models.dynamic.convolution.od_conv import ODConv2d

GEOMETRIES: list[dict[str, Any]] = [
    {"kernel_size": 3, "padding": 1, "bias": True},
    {"kernel_size": 3, "stride": 2, "padding": 1, "groups": 2, "bias": True},
    {"kernel_size": (2, 4), "padding": (1, 0), "dilation": 2},
    {"kernel_size": 1},
    {"kernel_size": 3, "groups": 4, "padding": 1},
]


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mask_of(shape: torch.Size, unit: str) -> Tensor:
    if unit == "weight":
        return torch.rand(shape, generator=generator(0)) < 0.4
    chosen = torch.full((shape[0],), unit == "dynamic")
    if unit == "row":
        chosen[::2] = True
    if unit == "channel":
        chosen = torch.zeros(shape[1], dtype=torch.bool)
        chosen[:1] = True
        return chosen.view(1, -1, 1, 1).expand(shape).contiguous()
    return chosen.view(-1, 1, 1, 1).expand(shape).contiguous()


@pytest.mark.parametrize("scale", ["both", "pruned"])
@pytest.mark.parametrize(("kind", "kernels"), [(DyConv2d, 3), (DyConv2d, 1), (ODConv2d, 2), (ODConv2d, 1)])
def test_outputs_are_those_of_the_masked_form(kind, kernels, scale, subtests: pytest.Subtests):
    for geometry in GEOMETRIES:
        for unit in ["weight", "row", "channel", "dynamic", "static"]:
            with subtests.test(geometry=geometry, unit=unit):
                conv = nn.Conv2d(4, 8, **{"bias": False, **geometry}).double()
                layer = kind.of(conv, ConvConfig(num_kernels=kernels, noise=1.0), generator(1)).double().eval()
                for parameter in layer.attention.parameters():
                    parameter.data.normal_(std=0.5, generator=generator(2))
                static = torch.randn(layer.weight_shape, generator=generator(3), dtype=torch.float64)
                layer.set_partition(mask=mask_of(layer.weight_shape, unit), static=static, scale=scale)
                layer.partition.phi.data.fill_(0.3)
                x = torch.randn(3, 4, 9, 8, generator=generator(4), dtype=torch.float64)
                expected = layer(x)
                layer.take_compact_form()
                torch.testing.assert_close(layer(x), expected)
                torch.testing.assert_close(layer.mixing_coefficients(x).sum(1), torch.ones(3, dtype=torch.float64))
