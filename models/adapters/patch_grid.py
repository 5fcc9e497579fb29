"""The grid of patches that a model makes of an image, for adapters that work on it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..anatomy import Anatomy, Site, inner_sites
from .layer import AdapterLayer


class PatchGrid:
    """Rows and columns of the patches: of the images that passed last, before any of those the model was built for.

    `size` is None where the model does not say and no image has passed.
    """

    def __init__(self, size: tuple[int, int] | None) -> None:
        self.size = size


class PatchGridObserver(AdapterLayer):
    """The convolution that makes the patches. Notes in `grid` how many it makes, and changes nothing."""

    observes = True

    def __init__(self, base_layer: nn.Module, grid: PatchGrid) -> None:
        super().__init__(base_layer)
        self.grid = grid

    def forward(self, *args: Any, **keywords: Any) -> Tensor:
        """The patches (batch, width, rows, columns), also where the set is disabled."""
        patches_BDHW = self.base_layer(*args, **keywords)
        self.grid.size = (patches_BDHW.shape[-2], patches_BDHW.shape[-1])
        return patches_BDHW


def patch_convolution(anatomy: Anatomy) -> Site | None:
    """Where the convolution lies whose outputs are the patches: the last one of the embeddings."""
    found = None
    for site in anatomy.embeddings:
        embedding = site.get()
        if not isinstance(embedding, nn.Module):
            continue
        for inner in inner_sites(embedding, path=site.path):
            if isinstance(inner.get(), nn.Conv2d):
                found = inner
    return found
