"""ResNet-20 for images of 32 pixels with random weights; the argument is the image size (default 32)

He et al., arXiv 1512.03385, section 4.2: 0.27 M weights, trained from scratch.
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
    return random_body(cifar_resnet, generator, argument, default=32)
