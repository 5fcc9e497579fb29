"""What this machine forbids: the least seconds that reading weights and multiplying with them take.

Both rates are measured in the run that they are used in, on as many threads as torch has then, and are the best of
some: a floor must not lie above what can be reached.
"""

from collections.abc import Callable
from functools import cache
from time import perf_counter

import torch
from torch import Tensor

SIDES = (1024, 2048)
"""Of square products: which one comes nearest to the peak depends on type and threads."""
ENOUGH = 0.2
"""Seconds of one measurement, after which no further call of it is made."""


def least_seconds(operations: float, product_rate: float, size: int, span: int | None = None) -> float:
    """The larger one of two times: that of the operations, and that of reading so many bytes of weights.

    Args:
        operations: that the products need, in the unit of the rate.
        product_rate: of them in a second.
        size: bytes that have to be read.
        span: bytes that are read before the same ones come again, if these are more: caches hold less of them.
    """
    return max(operations / product_rate, size / read_rate(size if span is None else span))


def read_rate(span: int) -> float:
    """Bytes per second that all threads together read, again and again, from so many bytes in a row."""
    return _read_rate(1 << max(20, span.bit_length() - 1), torch.get_num_threads())


@cache
def _read_rate(size: int, threads: int) -> float:
    many = torch.ones(size // 8, dtype=torch.int64)
    return size / _best(many.sum)


@cache
def product_rate(dtype: torch.dtype, threads: int) -> float:
    """Operations per second of the products of torch: a multiplication and an addition are two."""
    rates = []
    for side in SIDES:
        matrix = torch.full((side, side), 0.5, dtype=dtype)
        rates.append(2 * side**3 / _best(lambda matrix=matrix: matrix @ matrix))
    return max(rates)


@cache
def product_rate_of_bytes(rows: int, inputs: int, outputs: int, threads: int) -> float:
    """Operations per second of oneDNN's product of bytes alone, of this shape."""
    left = torch.ones(rows, inputs, dtype=torch.int8)
    right = torch.ones(outputs, inputs, dtype=torch.int8).t()
    return 2 * rows * inputs * outputs / _best(lambda: torch.ops.aten._int_mm(left, right))


def _best(call: Callable[[], Tensor], least: int = 5, most: int = 200) -> float:
    """The shortest of some calls, in seconds."""
    call()
    best = float("inf")
    begin = perf_counter()
    for number in range(most):
        start = perf_counter()
        call()
        best = min(best, perf_counter() - start)
        if number + 1 >= least and perf_counter() - begin > ENOUGH:
            break
    return best
