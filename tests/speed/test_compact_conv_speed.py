"""PAD-Net as it is deployed, for one image: its compact form beside the static and the fully dynamic convolution.

30 % of a kernel are dynamic. Each ratio that is wanted is one of the smallest times. The static layer has neither an
attention nor weights to make: it reads a part of the numbers that the others read, so that twice its time cannot be had
where the map is small beside the weight.
"""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from sparsebench.models.dynamic import ConvConfig, compact, make_dynamic, partition
from sparsebench.models.dynamic.convolution import DyConv2d

from .groups import Timed, Variant, of_model
from .scope import FULL

STATIC, DYNAMIC = "static", "fully dynamic"
FORMS = ("weight", "row", "channel")
ROLES = {STATIC: "floor", DYNAMIC: "peer", **dict.fromkeys(FORMS, "ours")}
SHAPES = [(64, 56), (128, 28), (256, 14), (512, 7), (64, 32), (128, 16), (256, 8), (512, 4)]
"""Channels, height and width of 3 x 3 kernels: the four stages of ResNet-18 at 224 and at 32 pixels."""
QUICK = [(256, 14)]
RATIO, KERNELS = 0.3, 4
OF_DYNAMIC, OF_STATIC = 1.0, 2.0
"""What is wanted: no form slower than the fully dynamic layer, rows and channels at most twice the static one."""


def config() -> ConvConfig:
    return ConvConfig(num_kernels=KERNELS, noise=0.5, temperature=1)


def deployed(model: nn.Module, unit: Any) -> nn.Module:
    partition(model, RATIO, criterion="random", granularity=unit, scope="local", generator=torch.Generator())
    compact(model)
    return model


def layer(name: str, channels: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        static = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
    if name == STATIC:
        return static
    dynamic = nn.Sequential(DyConv2d.of(static, config(), torch.Generator().manual_seed(0)))
    return dynamic.eval() if name == DYNAMIC else deployed(dynamic, name).eval()


def network(name: str) -> nn.Module:
    """ResNet-20 but for its stem of 64 channels: nine basic blocks for 32 pixels, of 16, 32 and 64 channels."""
    block: Any = timm.models.resnet.BasicBlock
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = timm.models.resnet.ResNet(block, (3, 3, 3), channels=(16, 32, 64), stem_width=16, num_classes=10)
        net.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        net.maxpool = net.layer4 = nn.Identity()
    if name != STATIC:
        net = make_dynamic(net, config())
    return (net if name in (STATIC, DYNAMIC) else deployed(net, name)).eval()


def variant(name: str, model: nn.Module, x: Tensor) -> Variant:
    return of_model(torch.no_grad()(lambda: model(x)), ROLES[name], model, x)


def want(name: str, timed: Timed, target: Callable[..., None]) -> None:
    """Hold a compact form against the others."""
    if name not in FORMS:
        return
    least = {other: min(timed.seconds[other]) for other in (name, STATIC, DYNAMIC)}
    target(f"{name}s: times the fully dynamic one", least[name] / least[DYNAMIC], at_most=OF_DYNAMIC)
    if name != "weight":
        target(f"{name}s: times the static one", least[name] / least[STATIC], at_most=OF_STATIC)


@pytest.mark.parametrize("shape", SHAPES if FULL else QUICK, ids=str)
@pytest.mark.parametrize("name", ROLES)
def test_a_layer(name: str, shape: tuple[int, int], compare: Callable[..., Timed], target: Callable[..., None]) -> None:
    channels, size = shape
    x = torch.randn(1, channels, size, size, generator=torch.Generator().manual_seed(0))
    group = f"compact PAD-Net, one image, 3 x 3, {channels} channels, {size} x {size}"
    timed = compare(name, ROLES, lambda name: variant(name, layer(name, channels), x), group=group)
    want(name, timed, target)


@pytest.mark.parametrize("name", ROLES)
def test_a_network(name: str, compare: Callable[..., Timed], target: Callable[..., None]) -> None:
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    group = "compact PAD-Net, one image, ResNet-20, 32 x 32"
    timed = compare(name, ROLES, lambda name: variant(name, network(name), x), group=group)
    want(name, timed, target)
