"""Convolutional networks of timm with random weights, to be trained from scratch."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from .body import VisionBody
from .efficientnet import image_size

NORMALISATION = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bicubic"}


def resnet(channels: Sequence[int] = (64, 128, 256, 512)) -> Any:
    """timm's ResNet with one basic block in each of its four stages: ResNet-10, 4.9 M weights without a head.

    The norm at the end of each block starts at 1, as in the networks of the papers. At timm's 0 no gradient reaches the
    convolutions of a block at the start, so that no criterion can say which of their weights shall stay dynamic.
    """
    from timm.models.resnet import BasicBlock, ResNet

    block: Any = BasicBlock  # timm's annotation asks for an instance, its code for the class
    return ResNet(block, (1, 1, 1, 1), channels=tuple(channels), num_classes=0, zero_init_last=False)


def cifar_resnet(channels: Sequence[int] = (16, 32, 64)) -> Any:
    """ResNet-20 for images of 32 pixels (He et al., arXiv 1512.03385, section 4.2), 0.27 M weights without a head.

    Three stages of three basic blocks behind a 3 x 3 convolution without pooling, out of timm's parts. A shortcut that
    changes the shape is a 1 x 1 convolution with a norm, 2,752 weights (option B there; the paper's networks for CIFAR
    have none). The norm at the end of each block starts at 1, as in `resnet`. The first width is even.
    """
    from timm.models.resnet import BasicBlock, ResNet

    block: Any = BasicBlock
    half = channels[0] // 2  # timm's deep stem is twice as wide as its name says
    network = ResNet(
        block,
        (3, 3, 3),
        channels=tuple(channels),
        num_classes=0,
        zero_init_last=False,
        stem_type="deep",
        stem_width=half,
    )
    stem = nn.Conv2d(3, 2 * half, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    network.conv1 = stem
    network.maxpool = nn.Identity()
    network.layer4 = nn.Identity()
    return network


def timm_network(name: str) -> Any:
    """A network that timm knows by name, without its head."""
    import timm

    return timm.create_model(name, num_classes=0)


def random_body(build: Callable[[], Any], generator: torch.Generator, argument: str | None, default: int) -> VisionBody:
    """The body of a network whose weights come from the generator; `argument` is the image size, else `default`.

    Mean and standard deviation of the normalisation are 0.5. Raises ValueError for a size below 32.
    """
    pixels = image_size(argument or str(default))
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(torch.randint(2**62, (), generator=generator).item())
        network = build()
    network.pretrained_cfg = dict(NORMALISATION)
    return VisionBody(network, pixels)
