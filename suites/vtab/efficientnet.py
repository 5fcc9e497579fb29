"""EfficientNet-Lite bodies from the packaged ImageNet weights."""

import copy
from typing import Any

from torch import nn

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.weights import efficientnet_lite

from .body import VisionBody

SMALLEST = 32
"""Pixels; the network halves the image five times."""


def efficientnet_lite_body(number: int, argument: str | None) -> VisionBody:
    """A fresh body of EfficientNet-Lite`number`; `argument` is the image size in pixels, None means 224."""
    return VisionBody(copy.deepcopy(_network(number)), image_size(argument))


def image_size(argument: str | None) -> int:
    """The image size in pixels. Raises ValueError unless it is a whole number from 32."""
    if argument is None:
        return 224
    if not argument.isdecimal() or int(argument) < SMALLEST:
        raise ValueError(f"image size {argument!r}: write a whole number from {SMALLEST}, as efficientnet_lite0:64")
    return int(argument)


@cached_reads(maxsize=2)
def _network(number: int) -> nn.Module:
    import timm
    from safetensors.torch import load_file

    network: Any = timm.create_model(f"tf_efficientnet_lite{number}")
    network.load_state_dict(load_file(efficientnet_lite(number)))
    network.reset_classifier(0)
    return network
