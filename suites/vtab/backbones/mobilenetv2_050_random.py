"""MobileNetV2 of half width with random weights, trained from scratch; the argument is the image size (default 64)

Sandler et al., arXiv 1801.04381, as timm has it: 0.7 M weights.
"""

import torch

from ..body import VisionBody
from ..random_cnn import random_body, timm_network

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "features", "blocks", "convolutions")
DESCRIBERS = ("timm_efficientnet",)


def load(generator: torch.Generator, argument: str | None = None) -> VisionBody:
    """The network; all its weights are random. Raises ValueError for a size below 32."""
    return random_body(lambda: timm_network("mobilenetv2_050"), generator, argument, default=64)
