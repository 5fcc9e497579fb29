"""As resnet10_quarter_random, wider: as many weights as it stores when 30 % of its convolutions have 4 kernels

0.60 M weights: the static network of equal size beside PAD-Net at a ratio of 0.3.
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
    return random_body(lambda: resnet((22, 44, 88, 177)), generator, argument, default=32)
