"""A ResNet of some thousand random weights at 32 pixels: smoke test only

One narrow basic block in each of four stages.
"""

import torch

from ..body import VisionBody
from ..random_cnn import random_body, resnet

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "features", "blocks", "convolutions")
DESCRIBERS = ("timm_resnet",)


def load(generator: torch.Generator, argument: str | None = None) -> VisionBody:
    """Widths 8, 8, 16 and 16; the argument is the image size (default 32). Raises ValueError for a size below 32."""
    return random_body(lambda: resnet((8, 8, 16, 16)), generator, argument, default=32)
