"""ViT of width 96 at 48 pixels, 0.7 M weights, pre-trained on CIFAR-10 and on drawn images: not on ImageNet

The smaller one of a pair (`vit_tiny_b`) in the proportions of ViT-S and ViT-B: twice the width, as many blocks. Our own
weights: `suites/vtab/pretraining` made them, `vit_tiny_s.json` in `suites/vtab/weights` describes them.
The pre-training was short. Logistic regression on its features, on 200 validation images (the best of four strengths),
and in brackets on a random initialisation of the network: Fashion-MNIST 0.70 (0.61), digits 0.90 (0.85), dSprites
location 0.46 (0.11) and orientation 0.13 (0.13): on orientation it is no better than random.
"""

import torch

from ..body import VisionBody
from ..own_vit import own_vit_body

SOURCES = ()
TRAITS = ("parameters", "features", "blocks", "attention", "ffn", "image tokens")
DESCRIBERS = ("timm_vit",)
RANDOM_WEIGHTS = False
CHECKSUM = "0ff30ca38806ff215dc224a1124a91d81281245d2d129c167e394cd3e62b4c2b"
"""sha256 of the weight file: here, so that other weights are another backbone for the records."""


def load(generator: torch.Generator, argument: str | None = None) -> VisionBody:
    """The network with its weights; nothing is random. Raises ValueError for an argument."""
    return own_vit_body("vit_tiny_s", CHECKSUM, argument)
