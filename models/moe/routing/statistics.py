"""What the routers of a converted model cost: balance loss, and parameters at work. `probe` says what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ...counting import count_parameters

if TYPE_CHECKING:
    from .router import Router


@runtime_checkable
class Routed(Protocol):
    """A layer with a router of ours, and the balance loss of its last training pass."""

    aux: Tensor | None
    router: Router


def aux_loss(model: nn.Module) -> Tensor:
    """Balance losses and z-losses of the last forward pass in training mode, coefficients included, summed over layers.

    Add it to the loss of that forward pass (of each micro-batch, when gradients accumulate). Where `torch.distributed`
    has several processes, the value is that of the own tokens until the backward pass, and then that of the tokens of
    all of them, when it is asked for again; the gradient is that of all (`Together.loss`): add it in each, and let each
    go backward as often as the others.

    Args:
        model: a model with routers of ours.

    Returns:
        A scalar; 0 for a model that has not run in training mode or has nothing to balance. A forward pass without
        gradients gives the value alone, and so does a model whose loss is attached to its layers (`add_balance_loss`).

    Example: `loss = model(**batch).loss + aux_loss(model)`.
    """
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    total = torch.zeros((), device=device)
    for module in model.modules():
        if isinstance(module, Routed) and module.aux is not None:
            total = total + module.aux.to(device)
    return total


def active_params(model: nn.Module) -> int:
    """Parameters that work on one token; routed experts count k / N.

    Args:
        model: a converted model or any other.
    """
    return count_parameters(model).active
