"""ResNet-10 of a quarter of the width with random weights; the argument is the image size (default 32)

0.32 M weights, trained from scratch; small enough for studies of dynamic convolutions with many seeds.
"""

import torch

from ..body import VisionBody
from ..random_cnn import random_body, resnet

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "features", "blocks", "convolutions")
DESCRIBERS = ("timm_resnet",)


def load(generator: torch.Generator, argument: str | None = None) -> VisionBody:
    """The network; all its weights are random. Raises ValueError for a size below 32."""
    return random_body(lambda: resnet((16, 32, 64, 128)), generator, argument, default=32)
