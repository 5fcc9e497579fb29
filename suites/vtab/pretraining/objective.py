"""What the network learns: which category an image has, and where, how large and how turned what was drawn in it is."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .sources import Source
from .stream import Batch

# Shapes: B images, C categories of their source, P values of its placement, O outputs of all sources.


class Objective:
    """Each source has its own outputs, one after another: its categories, then the values of its placement."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources

    @property
    def outputs(self) -> int:
        """O."""
        return sum(source.outputs for source in self.sources)

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """The losses by name, summed over the images of a source and divided by all images of the batch.

        Cross-entropy of the category, and squared error summed over the placement. One forward pass for all sources.
        """
        found = {}
        logits_BO = model(torch.cat([batch[source.name].images for source in self.sources])).float()
        parts = logits_BO.split([len(batch[source.name].labels) for source in self.sources])
        for source, share, (logits_BC, placement_BP) in zip(self.sources, parts, self._own(parts), strict=True):
            fraction = len(share) / len(logits_BO)
            wanted = batch[source.name]
            found[f"{source.name} category"] = fraction * F.cross_entropy(logits_BC, wanted.labels)
            if source.placement:
                error = (placement_BP - wanted.placement).square().sum(-1).mean()
                found[f"{source.name} placement"] = fraction * error
        return found

    def _own(self, parts: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """The outputs for the images of each source that are its own: (B, C) and (B, P)."""
        found = []
        start = 0
        for source, outputs_BO in zip(self.sources, parts, strict=True):
            middle = start + source.categories
            end = start + source.outputs
            found.append((outputs_BO[:, start:middle], outputs_BO[:, middle:end]))
            start = end
        return found

    @torch.inference_mode()
    def scores(self, model: Any, batch: Batch, at_once: int = 128) -> Mapping[str, Mapping[str, float]]:
        """By source: accuracy, loss of the category and squared error of the placement, means over its images."""
        outputs = []
        for source in self.sources:
            images = batch[source.name].images
            outputs.append(torch.cat([model(part).float() for part in images.split(at_once)]))
        found = {}
        for source, (logits_BC, placement_BP) in zip(self.sources, self._own(outputs), strict=True):
            wanted = batch[source.name]
            right = logits_BC.argmax(-1) == wanted.labels
            found[source.name] = {
                "images": len(right),
                "accuracy": round(right.float().mean().item(), 4),
                "category loss": round(F.cross_entropy(logits_BC, wanted.labels).item(), 4),
            }
            if source.placement:
                error = (placement_BP - wanted.placement).square().sum(-1).mean().item()
                found[source.name]["placement error"] = round(error, 4)
        return found
