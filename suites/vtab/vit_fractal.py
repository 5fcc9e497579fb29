"""Small vision transformers that were pre-trained on drawn fractals (`pretraining.py`), not on photographs."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load

from .body import VisionBody

WEIGHTS = Path(__file__).with_name("weights")
SIZE, PATCH, DEPTH, HEAD_WIDTH = 32, 4, 6, 32


def vit_fractal(width: int, outputs: int = 0, patch_drop: float = 0.0) -> Any:
    """timm's VisionTransformer for 32 x 32 pixels: 64 patches, their mean as feature, 6 blocks, heads of width 32.

    The weights come from the global random number generator.
    """
    from timm.models.vision_transformer import VisionTransformer

    network: Any = VisionTransformer(
        img_size=SIZE,
        patch_size=PATCH,
        embed_dim=width,
        depth=DEPTH,
        num_heads=width // HEAD_WIDTH,
        num_classes=outputs,
        patch_drop_rate=patch_drop,
        class_token=False,
        global_pool="avg",
        weight_init="jax",
    )
    network.pretrained_cfg = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bicubic"}
    return network


def vit_fractal_body(width: int, checksum: str, argument: str | None) -> VisionBody:
    """The body with the packaged weights, whose sha256 must be `checksum`. Raises ValueError for an argument."""
    name = f"vit_fractal_{width}"
    if argument is not None:
        raise ValueError(f"backbone {name!r} takes no argument, not {argument!r}")
    content = (WEIGHTS / f"{name}.safetensors").read_bytes()
    if sha256(content).hexdigest() != checksum:
        raise ValueError(f"{name}.safetensors is not the file that this backbone was written for: install it again")
    with torch.random.fork_rng(devices=()):
        network = vit_fractal(width)
    network.load_state_dict({key: tensor.float() for key, tensor in load(content).items()})
    return VisionBody(network, SIZE)
