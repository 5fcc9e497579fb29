"""In which order the rows of one data set come: seeded, without replacement, another order in each pass."""

import hashlib
from functools import lru_cache

import numpy as np

ORDERS_KEPT = 64
"""Orders of passes that stay in memory."""


def random_words(key: str, start: int, count: int) -> np.ndarray:
    """Random 64-bit numbers ``start`` ... ``start + count - 1`` of the endless stream that ``key`` names: (count,).

    Counter-based (Philox 4x64): each number is a pure function of the key and its place in the stream, the same on
    every machine and in every version of NumPy, since no distribution of it is used.
    """
    digest = hashlib.sha256(key.encode()).digest()
    key_2 = np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)
    block, skipped = divmod(start, 4)  # one count of Philox gives four numbers
    generator = np.random.Philox(key=key_2, counter=block)
    return generator.random_raw(skipped + count)[skipped:]


@lru_cache(maxsize=ORDERS_KEPT)
def row_order(seed: int, name: str, size: int, epoch: int) -> np.ndarray:
    """The rows of a data set in the order in which pass number ``epoch`` takes them: (size,), a permutation."""
    words = random_words(f"rows/{seed}/{name}/{epoch}", 0, size)
    order = np.argsort(words, kind="stable")
    order.flags.writeable = False  # it is shared by all who ask for it
    return order
