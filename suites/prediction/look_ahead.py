"""Batches that are made while the model works on those before them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")

AHEAD = 2
"""Batches that lie ready or are being made."""


def look_ahead(items: Iterable[T], make: Callable[[T], U], ahead: int = AHEAD) -> Iterator[U]:
    """`map(make, items)`, where a thread is so many items ahead of whoever takes the results.

    An accelerator computes by itself: meanwhile the thread reads the next images and sends them there. The results, and
    what `make` raises, come in the order of the items.

    Args:
        items: what results are made of.
        make: makes one; called in one other thread, in order.
        ahead: how many are made before they are asked for; 0 makes each when it is asked for, in this thread.

    Returns:
        The results.
    """
    if not ahead:
        yield from map(make, items)
        return
    with ThreadPoolExecutor(1) as thread:
        waiting: deque[Future[U]] = deque()
        try:
            for item in items:
                waiting.append(thread.submit(make, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
