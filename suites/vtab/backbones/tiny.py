"""A vision transformer of 28 thousand random weights at 16 pixels: smoke test only"""

from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer

from ..body import VisionBody

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "features", "blocks", "attention", "ffn", "image tokens")
DESCRIBERS = ("timm_vit",)
SMALLER = "tiny"


def load(generator: torch.Generator, argument: str | None = None) -> VisionBody:
    """Two blocks of width 32, patches of 4 pixels. Raises ValueError for an argument: there is nothing to choose."""
    if argument is not None:
        raise ValueError(f"backbone 'tiny' takes no argument, not {argument!r}")
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(torch.randint(2**62, (), generator=generator).item())
        network: Any = VisionTransformer(img_size=16, patch_size=4, embed_dim=32, depth=2, num_heads=2, num_classes=0)
    network.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bicubic"}
    return VisionBody(network, 16)
