"""Where the images of a pre-training come from: drawn ones, each of them new, and photographs, a little changed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.data.vision import contours, fractals
from sparsebench.data.vision.cifar10 import CLASSES
from sparsebench.data.vision.splits import Images

# Shapes: B images, H their side, S the side that the network sees, P values of the placement.

CROP = (0.35, 1.0)
"""Area of a photograph that is seen."""
STRETCH = 0.15
"""Largest change of its aspect ratio, as a logarithm."""
LIGHT = 0.3
"""Largest relative change of brightness and of contrast."""
GREY = 0.2
"""Fraction of the photographs that lose their colours."""


class Labelled(NamedTuple):
    """`images` (B, 3, S, S) from -1 to 1, `labels` (B,) and `placement` (B, P); P is 0 for photographs."""

    images: Tensor
    labels: Tensor
    placement: Tensor


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a stream takes its images from."""

    name: str
    categories: int
    placement: tuple[str, ...]
    take: Callable[[int, int, np.random.Generator], Labelled]
    """(how many images, how many were taken before, what chance comes from)."""
    content: str
    """What identifies it."""

    @property
    def outputs(self) -> int:
        """Outputs of a network that learns it: one for each category and each value of the placement."""
        return self.categories + len(self.placement)


def drawn_source(name: str, categories: int, side: int, seed: int) -> Source:
    """Fractals or contours."""
    if name == "fractals":
        kinds: Any = fractals.categories(categories, seed)
        draw: Any = fractals.draw_fractals
        placement = fractals.PLACEMENT
    else:
        kinds = contours.contours(categories, seed)
        draw = contours.draw_contours
        placement = contours.PLACEMENT

    def take(count: int, _: int, rng: np.random.Generator) -> Labelled:
        drawn = draw(kinds, rng.integers(categories, size=count), rng, side)
        images = torch.from_numpy(drawn.images).permute(0, 3, 1, 2) / 127.5 - 1
        return Labelled(images, torch.from_numpy(drawn.labels), torch.from_numpy(drawn.placement))

    content = f"{categories} {name}, seed {seed}"
    return Source(name=name, categories=categories, placement=placement, take=take, content=content)


def photograph_source(photographs: Images, content: str, side: int, seed: int, *, changed: bool = True) -> Source:
    """Photographs of CIFAR-10, in another order in each pass; unchanged ones are only resized."""
    pixels = torch.from_numpy(photographs.images)
    labels = torch.from_numpy(photographs.labels)
    placement = torch.zeros(len(labels), 0)

    def take(count: int, before: int, rng: np.random.Generator) -> Labelled:
        index = _passes(len(labels), seed, before, count)
        images = pixels[index].permute(0, 3, 1, 2) / 127.5 - 1
        if changed:
            images = changed_photographs(images, side, rng)
        else:
            images = F.interpolate(images, size=(side, side), mode="bicubic", antialias=True).clamp(-1, 1)
        return Labelled(images, labels[index], placement[index])

    return Source(name="photographs", categories=len(CLASSES), placement=(), take=take, content=content)


def _passes(size: int, seed: int, before: int, count: int) -> Tensor:
    """The indices number `before` to `before + count` of one permutation after another."""
    found = []
    while count:
        done, start = divmod(before, size)
        order = np.random.default_rng((seed, done)).permutation(size)[start : start + count]
        found.append(order)
        before += len(order)
        count -= len(order)
    return torch.from_numpy(np.concatenate(found))


def changed_photographs(images: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    """(B, 3, H, H) -> (B, 3, S, S): a random crop, every second one mirrored, with other light and some without colour.

    Values stay from -1 to 1.
    """
    count = len(images)
    extent = np.sqrt(rng.uniform(*CROP, size=count))
    stretch = np.exp(rng.uniform(-STRETCH, STRETCH, size=count))
    half = np.stack((extent * stretch, extent / stretch), -1).clip(max=1)
    centre = rng.uniform(-1, 1, size=(count, 2)) * (1 - half)
    mirror = np.where(rng.random(count) < 0.5, -1, 1)
    # grid_sample asks, for each pixel that is wanted, for its place in the given image: scale, then shift
    maps = np.zeros((count, 2, 3), np.float32)
    maps[:, 0, 0] = half[:, 0] * mirror
    maps[:, 1, 1] = half[:, 1]
    maps[:, :, 2] = centre
    grid = F.affine_grid(torch.from_numpy(maps), [count, 3, side, side], align_corners=False)
    crops = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    grey = torch.from_numpy(rng.random(count) < GREY).view(-1, 1, 1, 1)
    crops = torch.where(grey, crops.mean(1, keepdim=True), crops)
    light = torch.from_numpy(rng.uniform(-LIGHT, LIGHT, size=(2, count, 1, 1, 1)).astype(np.float32))
    middle = crops.mean((1, 2, 3), keepdim=True)
    return ((crops - middle) * (1 + light[0]) + middle + light[1]).clamp(-1, 1)
