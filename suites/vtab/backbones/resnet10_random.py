"""ResNet-10 with random weights, to be trained from scratch; the argument is the image size (default 64)

One basic block in each of the four stages of timm's ResNet (He et al., arXiv 1512.03385): 4.9 M weights.
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
    return random_body(resnet, generator, argument, default=64)
