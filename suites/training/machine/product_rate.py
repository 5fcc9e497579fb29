"""How fast this machine multiplies matrices: what the operations of a training are compared with."""

from functools import cache
from time import perf_counter

import torch
from torch import Tensor

SIZES = {"cuda": 8192}
"""Rows and columns of the matrices, by the type of the device; `SIZE` elsewhere."""
SIZE = 1024
REPEATS = 5
SECONDS = 0.5
"""After so many seconds no further product is timed: a processor without bfloat16 is slow in it."""


def product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second (a multiplication and an addition are two) of a large square matrix product.

    The fastest of a few, on as many threads as torch has now; measured once in a process for each device, dtype and
    number of threads. No random numbers are drawn.
    """
    return _measured(device, dtype, torch.get_num_threads())


@cache
def _measured(device: torch.device, dtype: torch.dtype, threads: int) -> float:
    size = SIZES.get(device.type, SIZE)
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        matrix = torch.full((size, size), 0.5, device=device, dtype=dtype)
        _timed(matrix)  # memory and kernels get ready
        fastest = _timed(matrix)
        spent = fastest
        for _ in range(REPEATS - 1):
            if spent > SECONDS:
                break
            taken = _timed(matrix)
            spent += taken
            fastest = min(fastest, taken)
    return 2 * size**3 / fastest


def _timed(matrix: Tensor) -> float:
    start = perf_counter()
    torch.matmul(matrix, matrix)
    if matrix.is_cuda:
        torch.cuda.synchronize(matrix.device)
    return perf_counter() - start
