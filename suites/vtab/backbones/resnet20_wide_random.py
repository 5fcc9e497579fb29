"""As resnet20_random, wider: as many bytes as it has when 30 % of its convolutions have 4 kernels

0.52 M weights: the static network of equal size beside PAD-Net at a ratio of 0.3, 0.6 % smaller.
"""

import torch

from ..body import VisionBody
from ..random_cnn import cifar_resnet, random_body

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "features", "blocks", "convolutions")
DESCRIBERS = ("timm_resnet",)


def load(generator: torch.Generator, argument: str | None = None) -> VisionBody:
    """The network; all its weights are random. Raises ValueError for a size below 32."""
    return random_body(lambda: cifar_resnet((22, 44, 89)), generator, argument, default=32)
