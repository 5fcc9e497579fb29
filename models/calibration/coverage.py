"""How many calibration tokens each expert saw, and which saw too few to say anything of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ModelError
from .mixture_statistics import LayerStatistics


@dataclass(frozen=True)
class LayerCoverage:
    """One mixture: `tokens` by expert, and `under`, the experts that saw fewer than the floor."""

    layer: str
    tokens: tuple[int, ...]
    under: tuple[int, ...]

    def __str__(self) -> str:
        text = f"{self.layer}: {min(self.tokens)} to {max(self.tokens)} tokens an expert"
        if self.under:
            text += f"; too few for {', '.join(map(str, self.under))}"
        return text


def coverage(statistics: Sequence[LayerStatistics], floor: int = 1) -> list[LayerCoverage]:
    """The tokens of each expert of each mixture, and the experts that saw too few.

    Args:
        statistics: what `mixture_statistics` gave.
        floor: the tokens that an expert should have seen, 1 or more.

    Returns:
        Counts, and the experts below the floor, by mixture.

    Raises:
        ModelError: a floor below 1.
    """
    if floor < 1:
        raise ModelError(f"floor={floor} must be 1 or more: the tokens that an expert should have seen")
    found: list[LayerCoverage] = []
    for layer in statistics:
        counts = layer.counts.tolist()
        under = tuple(expert for expert, count in enumerate(counts) if count < floor)
        found.append(LayerCoverage(layer.layer, tuple(counts), under))
    return found
