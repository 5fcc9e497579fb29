"""What a training gives and what it cost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..contracts.costs import peak_rss

CURVE_POINTS = 200


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """Curves and costs of a training; those before a stop are part of it."""

    curves: Mapping[str, Sequence[tuple[float, float]]]
    """(step, value) of "train loss", of the parts of the loss ("train <part>") and of the scores of `evaluate`. Losses
    are means over equal stretches, at most `CURVE_POINTS` of them."""
    steps: int
    epochs: int
    """Complete passes over the data."""
    tokens: int | None
    """That all processes saw; None where `train` was not told how to count them."""
    seconds: float
    """In the loop, evaluations and checkpoints included."""
    flops: int
    """Operations of losses and gradients: those of the last batch of the main process, forward and backward, counted
    by torch's flop counter (`models.counting.training_flops`), times the number of batches of all processes. Where
    batches differ in length, it is an estimate."""
    peak_memory: int
    """Bytes: of the accelerator where the models are on one, else of this process."""
    parameters: Mapping[str, int]
    """Parameters trained, by the name of the group."""
    model_seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time by model, where there are several: its forward and backward passes and the steps of its optimizers;
    data, evaluations and checkpoints are nobody's.
    """
    model_flops: Mapping[str, int] = field(default_factory=dict)
    """The part of `flops` that each model took, where there are several."""

    def taken(self) -> dict[str, Any]:
        """What a ledger notes of it: `context.ledger.add(**result.taken())`."""
        return {
            "seconds": self.seconds,
            "flops": self.flops,
            "steps": self.steps,
            "tokens": self.tokens or 0,
            "peak_memory": self.peak_memory,
        }


def thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Mean over equal stretches, at the last step of each, so that a record holds at most `CURVE_POINTS` points."""
    width = max(1, math.ceil(len(points) / CURVE_POINTS))
    found = []
    for start in range(0, len(points), width):
        stretch = points[start : start + width]
        found.append((stretch[-1][0], sum(value for _, value in stretch) / len(stretch)))
    return found


def peak_memory(device: torch.device) -> int:
    """Bytes in use at most."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return peak_rss()
