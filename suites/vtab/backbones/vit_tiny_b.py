"""ViT of width 192 at 48 pixels, 2.7 M weights, pre-trained on CIFAR-10 and on drawn images: not on ImageNet

The larger one of a pair (`vit_tiny_s`) in the proportions of ViT-S and ViT-B: twice the width, as many blocks. Our own
weights: `suites/vtab/pretraining` made them, `vit_tiny_b.json` in `suites/vtab/weights` describes them.
The pre-training was short. Logistic regression on its features, on 200 validation images (the best of four strengths),
and in brackets on a random initialisation of the network: Fashion-MNIST 0.66 (0.63), digits 0.87 (0.87), dSprites
location 0.53 (0.12) and orientation 0.16 (0.17): on orientation it is no better than random.
"""

import torch

from ..body import VisionBody
from ..own_vit import own_vit_body

SOURCES = ()
TRAITS = ("parameters", "features", "blocks", "attention", "ffn", "image tokens")
DESCRIBERS = ("timm_vit",)
SMALLER = "vit_tiny_s"
RANDOM_WEIGHTS = False
CHECKSUM = "703c34c0aeef373aa77fb8e3989fc00ba96fb03117d6c9a8cfcf12a80aaf3985"
"""sha256 of the weight file: here, so that other weights are another backbone for the records."""


def load(generator: torch.Generator, argument: str | None = None) -> VisionBody:
    """The network with its weights; nothing is random. Raises ValueError for an argument."""
    return own_vit_body("vit_tiny_b", CHECKSUM, argument)
