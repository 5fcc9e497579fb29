"""ViT of width 96 at 32 pixels, 0.7 M weights, pre-trained on drawn fractals: not on ImageNet, not on any photograph

Our own weights: `suites/vtab/pretraining` made them, `vit_fractal_96.json` in `suites/vtab/weights` describes them.
The pre-training was short. Linear probes on its features, and in brackets on two random initialisations of the network:
Fashion-MNIST 0.47 (0.54, 0.61), digits 0.52 (0.78, 0.77), dSprites location 0.13 (0.09, 0.09) and orientation 0.10
(0.09, 0.13). It is a transformer to cut and count, not yet a good source of features.
"""

import torch

from ..body import VisionBody
from ..own_vit import own_vit_body

SOURCES = ()
TRAITS = ("parameters", "features", "blocks", "attention", "ffn", "image tokens")
DESCRIBERS = ("timm_vit",)
RANDOM_WEIGHTS = False
CHECKSUM = "7e4bdc6f3472f77446de89f4cfb6bc39e4833247b1e75fc7327184a68c18aacf"
"""sha256 of the weight file: here, so that other weights are another backbone for the records."""


def load(generator: torch.Generator, argument: str | None = None) -> VisionBody:
    """The network with its weights; nothing is random. Raises ValueError for an argument."""
    return own_vit_body("vit_fractal_96", CHECKSUM, argument)
