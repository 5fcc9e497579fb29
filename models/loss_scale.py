"""How much a loss counts that comes along with the backward pass by itself (`moe/routing/attached_loss.py`).

Training loops set it, whatever model they train, so that it lies on the ground and imports nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_scale: list[float] = [1.0]


def set_loss_scale(scale: float) -> None:
    """What attached losses count in the backward passes from now on: 1 at first.

    The rule: the factor that stands before the mean loss of this micro-batch in this process. 1 / n where the gradients
    of n micro-batches add up to a step (`(loss / n).backward()`), times the factor of a `GradScaler`. Not the number of
    processes: where DDP or FSDP take the mean of their gradients, the balance loss of all their tokens counts once.
    """
    _scale[0] = scale


def loss_scale() -> float:
    """What `set_loss_scale` has said."""
    return _scale[0]


@contextmanager
def scaled_losses(scale: float) -> Iterator[None]:
    """`set_loss_scale` for the backward passes within."""
    before = loss_scale()
    set_loss_scale(scale)
    try:
        yield
    finally:
        set_loss_scale(before)
