"""Small vision transformers with weights of our own, which `pretraining/` made and the package brings."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load

from .body import VisionBody

WEIGHTS = Path(__file__).with_name("weights")
HEAD_WIDTH = 32


@dataclass(frozen=True, kw_only=True)
class ViTShape:
    """Sizes of a plain vision transformer; the heads of its attention are 32 wide."""

    width: int
    depth: int = 6
    """Blocks."""
    size: int = 48
    """Side of the images in pixels."""
    patch: int = 6
    """Side of a patch in pixels."""


SHAPES = {
    "vit_fractal_96": ViTShape(width=96, size=32, patch=4),
    "vit_tiny_s": ViTShape(width=96),
    "vit_tiny_b": ViTShape(width=192),
}


def own_vit(shape: ViTShape, outputs: int = 0, patch_drop: float = 0.0) -> Any:
    """timm's VisionTransformer without a class token: the mean over the patches, normalised, is its feature.

    The weights come from the global random number generator.
    """
    from timm.models.vision_transformer import VisionTransformer

    network: Any = VisionTransformer(
        img_size=shape.size,
        patch_size=shape.patch,
        embed_dim=shape.width,
        depth=shape.depth,
        num_heads=shape.width // HEAD_WIDTH,
        num_classes=outputs,
        patch_drop_rate=patch_drop,
        class_token=False,
        global_pool="avg",
        weight_init="jax",
    )
    network.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bicubic"}
    return network


def own_vit_body(name: str, checksum: str, argument: str | None) -> VisionBody:
    """The body with the packaged weights, whose sha256 must be `checksum`. Raises ValueError for an argument."""
    if argument is not None:
        raise ValueError(f"backbone {name!r} takes no argument, not {argument!r}")
    content = (WEIGHTS / f"{name}.safetensors").read_bytes()
    if sha256(content).hexdigest() != checksum:
        raise ValueError(f"{name}.safetensors is not the file that this backbone was written for: install it again")
    shape = SHAPES[name]
    with torch.random.fork_rng(devices=()):
        network = own_vit(shape)
    network.load_state_dict({key: tensor.float() for key, tensor in load(content).items()})
    return VisionBody(network, shape.size)
