"""What AdamW decays, and how the learning rate rises and falls."""

import math
from typing import Any

from torch import nn

from sparsebench.models.sparsity.masked import Masked

from .settings import TrainSettings


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trainable parameters in two groups: matrices, pruned ones too, with decay; biases, norms and scales without.

    Args:
        model: whose parameters.
        weight_decay: of matrices.

    Returns:
        What an optimizer takes.

    Raises:
        ValueError: nothing trains.
    """
    pruned = {id(layer.stored) for layer in model.modules() if isinstance(layer, Masked)}
    decayed = []
    undecayed = []
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        # A pruned matrix stores its non-zeros as a vector.
        if parameter.ndim >= 2 or id(parameter) in pruned:
            decayed.append(parameter)
        else:
            undecayed.append(parameter)
    if not decayed and not undecayed:
        raise ValueError("nothing to train: no parameter of the prepared model requires a gradient")
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": undecayed, "weight_decay": 0.0}]


def warmup_cosine(step: int, steps: int, warmup: float, lowest: float = 0.0) -> float:
    """Factor on the learning rate: linear rise over `warmup * steps` steps, then a cosine down to `lowest`."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    cosine = 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))
    return lowest + (1 - lowest) * cosine


def rate_factor(settings: TrainSettings, done: int, total: int | None) -> float:
    """Factor on the learning rate.

    Args:
        settings: schedule and warm-up.
        done: steps, or tokens.
        total: of the whole training; None where nobody knows.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: the schedule needs a total that nobody knows.
    """
    if settings.schedule == "constant" and not settings.warmup:
        return 1.0
    if total is None:
        raise ValueError(
            "a warm-up or cosine over epochs of a stream without a length: "
            "say steps or tokens, give the stream a __len__, or take a constant rate without warm-up"
        )
    if settings.schedule == "constant":
        return min(1.0, (done + 1) / max(1, round(settings.warmup * total)))
    return warmup_cosine(done, total, settings.warmup, settings.lowest)
