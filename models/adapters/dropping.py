"""Dropping of what an adapter adds, sample by sample, in training."""

from __future__ import annotations

from torch import Tensor, nn

from ..errors import ModelError


def check_rate(name: str, rate: float) -> None:
    """Raise `ModelError` for a rate outside of [0, 1)."""
    if not 0 <= rate < 1:
        raise ModelError(f"{name}={rate} is a rate: from 0 to below 1")


class DropSamples(nn.Module):
    """In training, 0 for a sample with probability `rate`, else x / (1 - rate): drop path (arXiv 1603.09382).

    The same random numbers as those of timm's `DropPath`, one for each sample of the batch.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(batch, ...) of the same shape."""
        if self.rate == 0 or not self.training:
            return x
        kept = 1 - self.rate
        mask = x.new_empty(len(x), *(1,) * (x.ndim - 1)).bernoulli_(kept)
        return x * mask.div_(kept)

    def extra_repr(self) -> str:
        """The rate."""
        return f"rate={self.rate:g}"


def rising(rate: float, index: int, count: int) -> float:
    """The rate of block `index` of `count`, on a straight line from 0 at the first to `rate` at the last."""
    return rate * index / max(1, count - 1)
