"""The compact form of one convolution against its masked form, for every geometry and kind of mask."""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.dynamic.convolution import compact_form
from sparsebench.models.dynamic.convolution.compact_form import LARGE_WEIGHT
from sparsebench.models.dynamic.convolution.config import ConvConfig
from sparsebench.models.dynamic.convolution.dy_conv import DyConv2d
from sparsebench.models.dynamic.convolution.od_conv import ODConv2d
from sparsebench.models.dynamic.packed_mask import pack_mask

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


def one_image_case(kind: type, unit: str, geometry: dict[str, Any], dtype: torch.dtype, scale: Any = "both") -> Any:
    """A partitioned layer of three kernels, and its copy in compact form."""
    conv = nn.Conv2d(4, 8, **{"bias": False, **geometry})
    layer: Any = kind.of(conv, ConvConfig(num_kernels=3, noise=1.0, temperature=1.0), generator(1))
    for parameter in layer.attention.parameters():
        parameter.data.normal_(std=0.5, generator=generator(2))
    static = torch.randn(layer.weight_shape, generator=generator(3))
    layer.set_partition(mask=mask_of(layer.weight_shape, unit), static=static, scale=scale)
    layer.partition.phi.data.fill_(0.3)
    layer = layer.to(dtype).eval()
    small = copy.deepcopy(layer)
    small.take_compact_form()
    return layer, small


@pytest.mark.parametrize("large", [0, LARGE_WEIGHT], ids=["as if large", "small"])
@pytest.mark.parametrize("kind", [DyConv2d, ODConv2d])
def test_one_image_at_a_time_is_the_masked_form(kind, large, monkeypatch, subtests: pytest.Subtests):
    """Twice the image: what is kept from the first pass serves the second, and no other image's weight is left over."""
    monkeypatch.setattr(compact_form, "LARGE_WEIGHT", large)
    x = torch.randn(3, 4, 9, 8, generator=generator(4))
    for dtype in (torch.float64, torch.float32):
        for geometry in GEOMETRIES:
            for unit, scale in [("weight", "both"), ("row", "both"), ("channel", "pruned"), ("static", "both")]:
                with subtests.test(dtype=dtype, geometry=geometry, unit=unit), torch.no_grad():
                    layer, small = one_image_case(kind, unit, geometry, dtype, scale)
                    expected = layer(x.to(dtype))
                    for place in (0, 1, 2, 0):
                        found = small(x[place : place + 1].to(dtype))
                        torch.testing.assert_close(found, expected[place : place + 1])


CHANGES: dict[str, Callable[[Any], object]] = {
    "an optimizer": lambda layer: torch.optim.SGD(layer.parameters(), 0.5).step(),
    "in place": lambda layer: layer.compact.static.mul_(2),
    "through .data": lambda layer: layer.compact.static.data.mul_(2),
    "other memory": lambda layer: setattr(layer.compact.static, "data", layer.compact.static * 2),
    "another parameter": lambda layer: setattr(layer.compact, "static", nn.Parameter(layer.compact.static * 2)),
    "dynamic part": lambda layer: layer.compact.dynamic.data.mul_(2),
    "another mask": lambda layer: layer.load_state_dict(flipped(layer)),
    "another type": lambda layer: layer.double(),
}


def flipped(layer: Any) -> dict[str, Tensor]:
    """The state of a layer whose mask has as many entries, in other places."""
    state = layer.state_dict()
    return state | {"compact.bits": pack_mask(layer.compact.mask.flatten().flip(0))}


def test_a_small_change_of_half_precision_through_data_is_seen() -> None:
    """The sum of the static numbers, which tells, is not rounded to their type."""
    _, layer = one_image_case(DyConv2d, "weight", GEOMETRIES[0], torch.bfloat16)
    x = torch.randn(1, 4, 9, 8, generator=generator(4)).bfloat16()
    static = layer.compact.static
    with torch.no_grad():
        static.fill_(1)
        layer(x)
        rounded = static.sum()
        static.data[0] += 1 / 16
        assert static.sum() == rounded
        torch.testing.assert_close(layer(x), copy.deepcopy(layer)(x), rtol=0, atol=0)


@pytest.mark.parametrize("unit", ["weight", "row"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_is_seen_by_the_next_image(change: str, unit: str) -> None:
    _, layer = one_image_case(DyConv2d, unit, GEOMETRIES[0], torch.float32)
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    x = torch.randn(1, 4, 9, 8, generator=generator(4))
    with torch.no_grad():
        before = layer(x)
        CHANGES[change](layer)
        x = x.to(layer.weight_dtype)
        found = layer(x)
        # A copy starts with nothing that was kept.
        fresh = copy.deepcopy(layer)
        torch.testing.assert_close(found, fresh(x), rtol=0, atol=0)
    # With a gradient nothing of a weight is kept.
    torch.testing.assert_close(found, layer(x))
    assert change == "another type" or (found - before).abs().max() > 1e-3


def test_threads_do_not_share_a_weight() -> None:
    _, layer = one_image_case(DyConv2d, "weight", GEOMETRIES[0], torch.float64)
    x = torch.randn(8, 4, 9, 8, generator=generator(4), dtype=torch.float64)

    def passes(place: int) -> list[Tensor]:
        with torch.no_grad():
            return [layer(x[place : place + 1]) for _ in range(20)]

    with ThreadPoolExecutor(8) as pool:
        for place, found in enumerate(pool.map(passes, range(8))):
            for one in found:
                torch.testing.assert_close(one, layer(x[place : place + 1]))


def test_what_was_kept_in_inference_mode_can_be_trained_with() -> None:
    for unit in ("weight", "row"):
        _, layer = one_image_case(DyConv2d, unit, GEOMETRIES[0], torch.float32)
        x = torch.randn(1, 4, 9, 8, generator=generator(4))
        with torch.inference_mode():
            before = layer(x)
        loss = layer(x).square().sum()
        loss.backward()
        assert layer.compact.static.grad.abs().max() > 0
        with torch.no_grad():
            torch.testing.assert_close(layer(x), before)
