"""PAD-Net as it is deployed, for one image: its compact form beside the static and the fully dynamic convolution.

30 % of a kernel are dynamic. The calls of a shape are made in turn, and each ratio is one of the smallest times, so
that load on the machine meets them alike. The static layer has neither an attention nor weights to make: it reads a
part of the numbers that the others read, so that twice its time cannot be had where the map is small beside the weight.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from sparsebench.models.dynamic import ConvConfig, compact, make_dynamic, partition
from sparsebench.models.dynamic.convolution import DyConv2d

from .rounds import ReplayClock, in_turn
from .scope import FULL

CLOCK = ReplayClock()
pytestmark = pytest.mark.benchmark(timer=CLOCK)

STATIC, DYNAMIC = "static", "fully dynamic"
FORMS = ("weight", "row", "channel")
SHAPES = [(64, 56), (128, 28), (256, 14), (512, 7), (64, 32), (128, 16), (256, 8), (512, 4)]
"""Channels, height and width of 3 x 3 kernels: the four stages of ResNet-18 at 224 and at 32 pixels."""
QUICK = [(256, 14)]
RATIO, KERNELS = 0.3, 4
ROUNDS = 150 if FULL else 60
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


def compare(
    what: str, models: dict[str, nn.Module], x: Tensor, rounds: int, benchmark: Any, target: Callable[..., None]
) -> None:
    """Time the models in turn, and hold the compact ones against the others."""
    calls = {name: lambda model=model: model(x) for name, model in models.items()}
    with torch.no_grad():
        seconds = in_turn(calls, rounds, time.process_time)
    least = {name: min(taken) for name, taken in seconds.items()}
    benchmark.group = f"compact PAD-Net, one image, {what}"
    benchmark.extra_info.update(
        role="ours",
        clock="CPU time of the process, calls in turn",
        threads=torch.get_num_threads(),
        **{f"{name}, times static": least[name] / least[STATIC] for name in models},
    )
    benchmark.pedantic(CLOCK.replay(seconds["row"]), rounds=rounds, iterations=1)
    for name in FORMS:
        target(f"{name}s: times the fully dynamic one", least[name] / least[DYNAMIC], at_most=OF_DYNAMIC)
        if name != "weight":
            target(f"{name}s: times the static one", least[name] / least[STATIC], at_most=OF_STATIC)


@pytest.mark.parametrize("shape", SHAPES if FULL else QUICK, ids=str)
def test_a_layer(shape: tuple[int, int], benchmark: Any, target: Callable[..., None]) -> None:
    channels, size = shape
    models = {name: layer(name, channels) for name in (STATIC, DYNAMIC, *FORMS)}
    x = torch.randn(1, channels, size, size, generator=torch.Generator().manual_seed(0))
    compare(f"3 x 3, {channels} channels, {size} x {size}", models, x, ROUNDS, benchmark, target)


def test_a_network(benchmark: Any, target: Callable[..., None]) -> None:
    models = {name: network(name) for name in (STATIC, DYNAMIC, *FORMS)}
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    compare("ResNet-20, 32 x 32", models, x, ROUNDS // 2, benchmark, target)
