"""ViT (arXiv 2010.11929) and AugReg (arXiv 2106.10270): the `.npz` files of google-research/vision_transformer.

Names are those of its blocks in JAX; kernels are (inputs, outputs), those of attention are split by heads:

    embedding/kernel (P, P, 3, D), cls (1, 1, D), Transformer/posembed_input/pos_embedding (1, 1 + N, D)
    Transformer/encoderblock_{i}/MultiHeadDotProductAttention_1/{query,key,value}/kernel (D, H, D / H),
        out/kernel (H, D / H, D)
    Transformer/encoderblock_{i}/MlpBlock_3/Dense_{0,1}/kernel (D, 4 D), (4 D, D), LayerNorm_{0,2}/{scale,bias}
    pre_logits/kernel (D, D) in those that the first paper trained on ImageNet-21k, head/kernel (D, classes)

With `pre_logits` the head is a layer, tanh and the head. No folder says this of a ViT of timm, so that such a model can
be saved only after `model.reset_classifier(classes)`, as one that is to be fine-tuned gets anyway.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import nn

from ..errors import ModelError, optional
from .checkpoint import Built, Checkpoint
from .recognition import VIT_POSITIONS as POSITIONS

SIZES = {
    (192, 12, 3): "tiny",
    (384, 12, 6): "small",
    (768, 12, 12): "base",
    (1024, 24, 16): "large",
    (1280, 32, 16): "huge",
}
"""By width, blocks and heads."""
BLOCK = "Transformer/encoderblock_"
ATTENTION = "MultiHeadDotProductAttention_1"
NORM = "Transformer/encoder_norm"
HYBRID = "conv_root/kernel"
UNKNOWN = ("how its images were normalised: see `pretrained_cfg` of the model, which is timm's for the architecture",)


class Sizes(NamedTuple):
    """What the shapes of a file say."""

    width: int
    blocks: int
    heads: int
    patch: int
    grid: int

    @property
    def name(self) -> str:
        """In timm, if it has such a one."""
        size = SIZES.get((self.width, self.blocks, self.heads), f"{self.width}x{self.blocks}x{self.heads}")
        return f"vit_{size}_patch{self.patch}_{self.grid * self.patch}"


def build(checkpoint: Checkpoint) -> Built:
    """A ViT of timm, which reads the file itself; before the head there may be a representation layer.

    Args:
        checkpoint: in this layout.

    Returns:
        The model.

    Raises:
        ModelError: it is not whole, or timm has no such ViT.
    """
    with optional():
        import timm

    sizes = _sizes(checkpoint)
    if not timm.is_model(sizes.name):
        raise ModelError(f"{checkpoint.place} would be a {sizes.name}, which timm does not have")
    for name, shape in _body(sizes).items():
        checkpoint.take(name, *shape)
    classes = 0
    if "head/kernel" in checkpoint:
        classes = _shape(checkpoint, "head/kernel", 2)[1]
        checkpoint.take("head/kernel", sizes.width, classes)
        checkpoint.take("head/bias", classes)
    model: Any = timm.create_model(sizes.name, num_classes=classes)
    model.load_pretrained(str(checkpoint.place))
    if classes and "pre_logits/kernel" in checkpoint:
        model.head = nn.Sequential(_representation(checkpoint, sizes.width), nn.Tanh(), model.head)
    return Built(model.eval(), UNKNOWN)


def _sizes(checkpoint: Checkpoint) -> Sizes:
    if HYBRID in checkpoint:
        raise ModelError(
            f"{checkpoint.place} is a ViT behind a ResNet (R50+ViT), which is not read here: ViTs alone are"
        )
    first = f"{BLOCK}0/{ATTENTION}/query/kernel"
    patch, _, _, width = _shape(checkpoint, "embedding/kernel", 4)
    positions = _shape(checkpoint, POSITIONS, 3)[1]
    grid = math.isqrt(positions - 1)
    if grid**2 != positions - 1:
        raise ModelError(
            f"{checkpoint.place} has {positions} positions, which are no class token and a square of patches"
        )
    heads = _shape(checkpoint, first, 3)[1]
    blocks = {name.removeprefix(BLOCK).partition("/")[0] for name in checkpoint.names(BLOCK)}
    return Sizes(width, len(blocks), heads, patch, grid)


def _shape(checkpoint: Checkpoint, name: str, dims: int) -> tuple[int, ...]:
    """Raises `ModelError` for another number of dimensions."""
    shape = tuple(checkpoint.take(name).shape)
    if len(shape) != dims:
        raise ModelError(f"in {checkpoint.place}, {name} has the shape {shape}; {dims} dimensions were expected")
    return shape


def _body(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all but the head."""
    width = sizes.width
    found: dict[str, tuple[int, ...]] = {
        "cls": (1, 1, width),
        "embedding/kernel": (sizes.patch, sizes.patch, 3, width),
        "embedding/bias": (width,),
        POSITIONS: (1, 1 + sizes.grid**2, width),
        f"{NORM}/scale": (width,),
        f"{NORM}/bias": (width,),
    }
    for number in range(sizes.blocks):
        block = _block(width, sizes.heads)
        found |= {f"{BLOCK}{number}/{name}": shape for name, shape in block.items()}
    return found


def _block(width: int, heads: int) -> dict[str, tuple[int, ...]]:
    size = width // heads
    found: dict[str, tuple[int, ...]] = {
        f"{ATTENTION}/out/kernel": (heads, size, width),
        f"{ATTENTION}/out/bias": (width,),
        "MlpBlock_3/Dense_0/kernel": (width, 4 * width),
        "MlpBlock_3/Dense_0/bias": (4 * width,),
        "MlpBlock_3/Dense_1/kernel": (4 * width, width),
        "MlpBlock_3/Dense_1/bias": (width,),
    }
    for part in ("query", "key", "value"):
        found |= {f"{ATTENTION}/{part}/kernel": (width, heads, size), f"{ATTENTION}/{part}/bias": (heads, size)}
    for norm in ("LayerNorm_0", "LayerNorm_2"):
        found |= {f"{norm}/scale": (width,), f"{norm}/bias": (width,)}
    return found


def _representation(checkpoint: Checkpoint, width: int) -> nn.Linear:
    """The layer before the head, which timm's ViT does not have and its reader passes over."""
    layer = nn.Linear(width, width)
    with torch.no_grad():
        layer.weight.copy_(checkpoint.take("pre_logits/kernel", width, width).T)
        layer.bias.copy_(checkpoint.take("pre_logits/bias", width))
    return layer
