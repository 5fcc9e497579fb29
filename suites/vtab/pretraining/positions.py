"""Embeddings of positions to start from."""

import math

import torch
from torch import Tensor

# Shapes: N patches along a side, F frequencies, D width.

LONGEST = 20.0
"""The lowest frequency is the highest, divided by this."""
HIGHEST = 1.5
"""Radians from one patch to the next."""
SCALE = 0.5


def wave_positions(patches: int, width: int) -> Tensor:
    """Sines and cosines along both axes, float32 (patches ** 2, width), row by row.

    As in "Attention is all you need" (Vaswani et al., 2017), for each axis with half of the width, but with frequencies
    for a grid of few patches. Beside timm's random ones of 0.02, these are as large as what a patch holds, and a
    network learns sooner where things are. Raises ValueError for a width that 4 does not divide.
    """
    if width % 4:
        raise ValueError(f"width={width} must be a multiple of 4: sines and cosines along two axes")
    exponent_F = torch.linspace(0, -math.log(LONGEST), width // 4)
    angle_NF = torch.arange(patches)[:, None] * (HIGHEST * exponent_F.exp())
    axis_ND = torch.cat((angle_NF.sin(), angle_NF.cos()), -1)
    rows = axis_ND[:, None].expand(patches, patches, -1)
    columns = axis_ND[None].expand(patches, patches, -1)
    return SCALE * torch.cat((rows, columns), -1).flatten(0, 1)
