"""EfficientNet-Lite2, pre-trained on ImageNet-1k; the argument is the image size (default 224)

Tan and Le, arXiv 1905.11946, without squeeze-and-excitation and with ReLU6 (Liu, 2020).
"""

import torch

from ..body import VisionBody
from ..efficientnet import efficientnet_lite_body

SOURCES = ("efficientnet-lite2",)
TRAITS = ("parameters", "features", "blocks", "convolutions")
DESCRIBERS = ("timm_efficientnet",)
SMALLER = "efficientnet_lite0"


def load(generator: torch.Generator, argument: str | None = None) -> VisionBody:
    """The network with its published weights; nothing is random."""
    return efficientnet_lite_body(2, argument)
