"""A few steps of training for the scores of a partition: the way out where kernels and static weight are copies.

The weights come back. Steps that stayed would be a lead over a network that is trained as long but not partitioned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice

import torch
from torch import nn

from ...errors import ModelError
from ...evaluation import evaluation_mode
from ...sparsity.scoring import LossFunction
from ..layer import DynamicLayer
from ..partially_dynamic import PartiallyDynamic


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    """Steps of Adam on the calibration batches, in turn: dynamic layers without static part and scales.

    Scales elsewhere that are 0 as a whole train with them, as the weight of the last norm of a residual block may start
    (`zero_scales`): behind such a one no layer has a gradient.

    Attributes:
        steps: how many.
        learning_rate: of Adam.
    """

    steps: int = 20
    learning_rate: float = 1e-4

    def __post_init__(self) -> None:
        if self.steps < 1 or self.learning_rate <= 0:
            raise ModelError(f"{self}: steps must be 1 or more and learning_rate greater than 0")


@contextmanager
def warmed_up(
    model: nn.Module,
    layers: Sequence[DynamicLayer],
    batches: Sequence[object],
    loss_fn: LossFunction,
    how: WarmUp,
) -> Iterator[None]:
    """Train layers and scales of 0 in eval mode (no dropout, statistics of norms as they are), for as long as it lasts.

    Modes and flags come back before the body runs, weights after it.

    Args:
        model: the model.
        layers: its dynamic layers.
        batches: calibration data, taken in turn.
        loss_fn: `loss_fn(model, batch)` -> scalar.
        how: steps and learning rate.

    Raises:
        ModelError: there is no batch.
    """
    if not batches:
        raise ModelError("the warm-up before a partition got no batch: it needs at least one")
    trained: list[nn.Parameter] = []
    for layer in layers:
        fixed = _of_partitions(layer)
        trained += [parameter for parameter in layer.parameters() if parameter not in fixed]
    trained += zero_scales(model)
    before = [parameter.detach().clone() for parameter in trained]
    try:
        _train(model, trained, batches, loss_fn, how)
        yield
    finally:
        for parameter, value in zip(trained, before, strict=True):
            parameter.data.copy_(value)


def _train(
    model: nn.Module,
    trained: Sequence[nn.Parameter],
    batches: Sequence[object],
    loss_fn: LossFunction,
    how: WarmUp,
) -> None:
    flags = [parameter.requires_grad for parameter in trained]
    optimizer = torch.optim.Adam(trained, lr=how.learning_rate)
    try:
        for parameter in trained:
            parameter.requires_grad_(True)
        with evaluation_mode(model), torch.enable_grad():
            for batch in islice(cycle(batches), how.steps):
                gradients = torch.autograd.grad(
                    loss_fn(model, batch), trained, allow_unused=True, materialize_grads=True
                )
                for parameter, gradient in zip(trained, gradients, strict=True):
                    parameter.grad = gradient
                optimizer.step()
    finally:
        optimizer.zero_grad(set_to_none=True)
        for parameter, flag in zip(trained, flags, strict=True):
            parameter.requires_grad_(flag)


def zero_scales(model: nn.Module) -> list[nn.Parameter]:
    """Weights of norms and scales of layers that are 0 as a whole, outside of dynamic layers: vectors or scalars."""
    inside = {
        parameter for layer in model.modules() if isinstance(layer, DynamicLayer) for parameter in layer.parameters()
    }
    found: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_scale = parameter.dim() <= 1 and not name.endswith("bias") and parameter.is_floating_point()
        if is_scale and parameter not in inside and not parameter.any():
            found.append(parameter)
    return found


def _of_partitions(layer: DynamicLayer) -> set[nn.Parameter]:
    """Static parts and scales, of the layer and of attentions in it."""
    found: set[nn.Parameter] = set()
    for module in layer.modules():
        if isinstance(module, PartiallyDynamic) and module.partition is not None:
            found |= set(module.partition.parameters())
    return found
