"""Training images that are shifted and mirrored anew whenever they are seen."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .data_order import TrainingData

# Shapes: B images, C channels, H x W pixels, P padded pixels on each side.

PADDING = 4
"""Pixels by which an image is shifted at most."""


def shifted_and_mirrored(x_BCHW: Tensor, generator: torch.Generator, padding: int = PADDING) -> Tensor:
    """(B, C, H, W): of each padded image a random window, half of them mirrored (He et al., arXiv 1512.03385, 4.2).

    Args:
        x_BCHW: images, normalised: the padding is 0.
        generator: draws windows and mirrors, on the processor.
        padding: P, pixels that are added on each side.
    """
    count, _, height, width = x_BCHW.shape
    top_B, left_B = torch.randint(2 * padding + 1, (2, count), generator=generator)
    rows_BH = top_B[:, None] + torch.arange(height)
    columns_BW = left_B[:, None] + torch.arange(width)
    mirrored_B1 = torch.rand(count, 1, generator=generator) < 0.5
    columns_BW = torch.where(mirrored_B1, columns_BW.flip(1), columns_BW)
    padded = F.pad(x_BCHW, (padding,) * 4)
    places = (torch.arange(count)[:, None, None], rows_BH[:, :, None], columns_BW[:, None, :])
    image, row, column = (place.to(x_BCHW.device) for place in places)
    return padded.permute(0, 2, 3, 1)[image, row, column].permute(0, 3, 1, 2)


class ShiftedAndMirrored:
    """A training set of images whose batches are shifted and mirrored; a checkpoint keeps where its draws stand.

    Evaluations do not go through it: they take the data themselves.

    Args:
        data: whose batches are (images (B, C, H, W), targets).
        generator: draws windows and mirrors.

    Raises:
        ValueError: the examples are no images.
    """

    def __init__(self, data: TrainingData, generator: torch.Generator) -> None:
        first = data.train[0][0]
        if not isinstance(first, Tensor) or first.dim() != 3:
            raise ValueError("augment shifts and mirrors images (channels, height, width), and these examples are none")
        self.data = data
        self.generator = generator

    @property
    def train(self) -> Sequence[Any]:
        """The examples as they are."""
        return self.data.train

    @property
    def lengths(self) -> Sequence[int] | None:
        """Those of the data."""
        return self.data.lengths

    def collate(self, examples: list[Any]) -> Any:
        """A batch, shifted and mirrored."""
        images, targets = self.data.collate(examples)
        return shifted_and_mirrored(images, self.generator), targets

    def state_dict(self) -> dict[str, Tensor]:
        """Where the draws stand."""
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on drawing from there."""
        self.generator.set_state(state["generator"])
