"""A vision transformer of one block that sees 8 pixels: a teacher with eyes of its own"""

import torch
from timm.models.vision_transformer import VisionTransformer

from sparsebench.suites.vtab.body import VisionBody

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "blocks", "attention", "ffn", "image tokens", "features")
DESCRIBERS = ("timm_vit",)


def load(generator: torch.Generator, argument: str | None = None) -> VisionBody:
    """Width 16, patches of 4 pixels."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(torch.randint(2**62, (), generator=generator).item())
        network = VisionTransformer(img_size=8, patch_size=4, embed_dim=16, depth=1, num_heads=2, num_classes=0)
    network.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bilinear"}
    return VisionBody(network, 8)
