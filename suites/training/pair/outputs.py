"""What a model puts out while a loss runs it, so that two models are compared without a second forward pass.

Whatever the loss of a task is, the tensors that the model itself returns are what it says of the same things: logits of
examples, of the tokens with a label, or, in tasks with several answers, of the tokens of all of them.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def outputs_of(model: nn.Module) -> Iterator[list[Tensor]]:
    """Collects what each call of `model` returns: a tensor, or the `logits` of a model of transformers.

    with outputs_of(model) as found:
        loss = context.loss(model, batch)
    logits = joined(found)
    """
    found: list[Tensor] = []

    def keep(module: nn.Module, arguments: Any, result: Any) -> None:
        found.append(result if isinstance(result, Tensor) else result.logits)

    handle = model.register_forward_hook(keep)
    try:
        yield found
    finally:
        handle.remove()


def joined(found: Sequence[Tensor], columns: int) -> Tensor:
    """All of them as one tensor (N, columns), in order; further columns (rows of an embedding that no token has) go.

    Raises ValueError where the loss called the model with nothing, or not by `model(...)`.
    """
    if not found:
        raise ValueError("the loss did not call the model, so there is nothing to compare")
    return torch.cat([result.flatten(0, -2)[:, :columns] for result in found])
