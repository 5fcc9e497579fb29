"""The temperature of attentions, which falls in the first epochs of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..errors import ModelError


@runtime_checkable
class HasTemperature(Protocol):
    """A module that divides its logits by a temperature, a scalar buffer."""

    temperature: Tensor


def tempered(model: nn.Module) -> list[HasTemperature]:
    """The attentions of a model that have a temperature."""
    found: list[HasTemperature] = []
    for module in model.modules():
        if isinstance(module, HasTemperature) and isinstance(module.temperature, Tensor):
            found.append(module)
    return found


def anneal(model: nn.Module, temperature: float) -> int:
    """Set the temperature of all attentions in a model.

    It is a buffer: `state_dict` has it, and a loaded model goes on with it.

    Args:
        model: a model with dynamic layers.
        temperature: what logits are divided by, above 0.

    Returns:
        How many attentions there are.

    Raises:
        ModelError: a value that is not above 0, a model without such an attention.
    """
    if not 0 < temperature < float("inf"):
        raise ModelError(f"temperature={temperature}: logits are divided by it, so it is above 0")
    found = tempered(model)
    if not found:
        raise ModelError(f"this {type(model).__name__} has no attention with a temperature: make it dynamic first")
    with torch.no_grad():
        for module in found:
            module.temperature.fill_(temperature)
    return len(found)


@dataclass(frozen=True, kw_only=True)
class TemperatureSchedule:
    """A temperature that falls in a straight line (DY-Conv, section 3.3; PAD-Net, 30 to 1).

    Attributes:
        steps: from which on it is `end`.
        start: at step 0.
        end: at step `steps` and after it.

    >>> schedule = TemperatureSchedule(steps=10)
    >>> [schedule.at(step) for step in (0, 5, 10, 99)]
    [30.0, 15.5, 1.0, 1.0]
    """

    steps: int
    start: float = 30.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ModelError(f"steps={self.steps}: the temperature falls over a number of steps, from 0")
        for name in ("start", "end"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ModelError(f"{name}={getattr(self, name)}: logits are divided by it, so it is above 0")

    def at(self, step: int) -> float:
        """The temperature before step number `step`, from 0."""
        if step >= self.steps:
            return float(self.end)
        return self.start + (self.end - self.start) * step / self.steps

    def apply(self, model: nn.Module, step: int) -> None:
        """Set it in a model.

        Args:
            model: a model with dynamic layers.
            step: number of the step to come, from 0.
        """
        anneal(model, self.at(step))
