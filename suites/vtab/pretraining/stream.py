"""The endless stream of batches of a pre-training, each with images of every source."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .sources import Labelled, Source

Batch = Mapping[str, Labelled]
"""By the name of the source."""


class ImageStream:
    """Batches with the given number of images of each source; remembers where its draws stand."""

    def __init__(self, sources: Sequence[Source], counts: Mapping[str, int], seed: int | tuple[int, ...]) -> None:
        self.sources = sources
        self.counts = counts
        self.rng = np.random.default_rng(seed)
        self.batches = 0

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield self.draw()

    def draw(self) -> Batch:
        """The next batch."""
        batch = {}
        for source in self.sources:
            count = self.counts[source.name]
            batch[source.name] = source.take(count, self.batches * count, self.rng)
        self.batches += 1
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Where the draws stand."""
        return {"rng": self.rng.bit_generator.state, "batches": self.batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on drawing from there."""
        self.rng.bit_generator.state = state["rng"]
        self.batches = state["batches"]

    def fingerprint(self) -> str:
        """What is drawn."""
        parts = [f"{self.counts[source.name]} of {source.content}" for source in self.sources]
        return "; ".join(parts)
