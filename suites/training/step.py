"""One step: the gradient of the mean loss over the batches of all processes, and what the optimizers do with it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from sparsebench.models.loss_scale import scaled_losses

from .groups import Group
from .processes import Processes
from .settings import TrainSettings

Loss = Callable[[Any, Any], Tensor | Mapping[str, Tensor]]
"""Mean loss of (models, batch); of a mapping, the sum trains and each part has its curve."""

Grads = tuple[Tensor | None, ...]


class LossNotFiniteError(FloatingPointError):
    """The mean loss of a step is NaN or infinite: `what` says which, `batches` are those of this process."""

    def __init__(self, what: str, batches: Sequence[Any]) -> None:
        super().__init__(f"{what}: lower the learning rate")
        self.what = what
        self.batches = batches


@dataclass(frozen=True)
class Stepper:
    """Takes steps. `given`: the models as the loss sees them."""

    given: Any
    models: Mapping[str, nn.Module]
    groups: Sequence[Group]
    optimizers: Sequence[torch.optim.Optimizer]
    loss: Loss
    settings: TrainSettings
    processes: Processes

    def step(self, batches: Sequence[Any], weights: Sequence[float], total: float, number: int) -> dict[str, float]:
        """Take a step.

        The mean is that of one large batch, however unequal the batches are. A batch of weight 0 has a gradient of 0,
        even where its mean over nothing is NaN.

        Args:
            batches: those of this process.
            weights: how much each counts.
            total: the sum of the weights over all batches and processes.
            number: of the step, for an error.

        Returns:
            The parts of the mean loss, "" for the sum of them.

        Raises:
            LossNotFiniteError: the mean is not finite; the step is not taken.
        """
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        alone = len(batches) == 1 and self.processes.count == 1
        found: dict[str, float] = {}
        for batch, weight in zip(batches, weights, strict=True):
            fraction = 1.0
            if not alone:
                fraction = weight / total if total else 0.0
            parts = self.losses(batch)
            with scaled_losses(fraction):
                if fraction == 0.0:
                    if self.processes.count > 1 and total:
                        backward_of_nothing(parts[""])
                    # a mean over nothing may be NaN, and so is NaN times 0
                    parts = {name: torch.zeros(()) for name in parts}
                elif alone:  # not multiplied at all: the gradient is that of the loss, bit by bit
                    parts[""].backward()
                else:
                    (parts[""] * fraction).backward()
            for name, value in parts.items():
                found[name] = found.get(name, 0.0) + value.item() * fraction
        self.processes.sum_gradients([parameter for group in self.groups for parameter in group.members()])
        mean = dict(zip(found, self.processes.sum(list(found.values())), strict=True))
        if not math.isfinite(mean[""]):
            raise LossNotFiniteError(_not_finite(mean, number), batches)
        self._clip()
        for optimizer in self.optimizers:
            optimizer.step()
        return mean

    def losses(self, batch: object) -> dict[str, Tensor]:
        """The parts of the loss, and "" for their sum."""
        with self.autocast():
            result = self.loss(self.given, batch)
            if isinstance(result, Tensor):
                return {"": result}
            parts = dict(result)
            values = list(parts.values())
            parts[""] = sum(values[1:], start=values[0])
        return parts

    def autocast(self) -> torch.autocast:
        """Autocast where the settings say so."""
        return torch.autocast(self.processes.device.type, torch.bfloat16, enabled=self.settings.precision == "bfloat16")

    def _clip(self) -> None:
        for group in self.groups:
            if group.clip is not None:
                nn.utils.clip_grad_norm_(group.members(), group.clip)
        if self.settings.clip is None:
            return
        # In the models' order, not the groups': the norm is a sum, and its last digit depends on the order.
        grouped = {id(parameter) for group in self.groups for parameter in group.members()}
        members = []
        for model in self.models.values():
            members += [parameter for parameter in model.parameters() if id(parameter) in grouped]
        nn.utils.clip_grad_norm_(members, self.settings.clip)


def _not_finite(mean: Mapping[str, float], number: int) -> str:
    """Which loss is not finite; of a sum, which of its parts."""
    said = f"training loss is {mean['']} at step {number}"
    parts = [f"{name!r} is {value}" for name, value in mean.items() if name and not math.isfinite(value)]
    return f"{said}, where its part {' and '.join(parts)}" if parts else said


def backward_of_nothing(loss: Tensor) -> None:
    """Send a gradient of exactly 0 back from a loss that counts for nothing and may be NaN.

    Of several processes, each must go backward as often as the others: they wait in the sums over processes that the
    backward pass of a balance loss makes. What these sums bring is a gradient like any other.
    """
    if loss.grad_fn is None:
        return
    for node in _nodes(loss.grad_fn):
        node.register_hook(_zeros_stay)
    loss.backward(torch.zeros_like(loss))


def _nodes(root: Node) -> set[Node]:
    """All nodes of the graph that a backward pass from `root` goes through."""
    found = {root}
    waiting = [root]
    while waiting:
        for node, _ in waiting.pop().next_functions:
            if node is not None and node not in found:
                found.add(node)
                waiting.append(node)
    return found


def _zeros_stay(given: Grads, received: Grads) -> Grads | None:
    """What a node hands on, `given`, of what it `received`: 0 times a derivative that is not finite is 0.

    Where something else than zeros came in, a NaN is a fault of the training and stays.
    """
    if any(gradient is not None and gradient.any() for gradient in received):
        return None
    return tuple(None if gradient is None else gradient.masked_fill(gradient.isnan(), 0.0) for gradient in given)
