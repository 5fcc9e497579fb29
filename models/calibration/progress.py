"""How far a pass over the blocks of a model is, for whoever listens: passes may take minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int, int], None]
"""Called with the blocks that are done, and how many there are to pass."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Within it, every pass block by block says to `listener` how far it is.

    Args:
        listener: called with the blocks that are done, and how many there are.

    Example::

        with listening(lambda done, total: print(f"block {done} of {total}")):
            quantise(model, QuantiseConfig(), batches)
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(done: int, total: int) -> None:
    """Say to whoever listens that so many blocks are done.

    Args:
        done: blocks that have been passed.
        total: blocks to pass.
    """
    listener = _listener.get()
    if listener is not None:
        listener(done, total)
