"""Weights that are the same to the last bit on every machine and with every version: hashes, not random numbers."""

import math
import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def uniform(name: str, shape: Sequence[int]) -> np.ndarray:
    """Numbers in [-1, 1) that depend on a name, as float64, exact in it."""
    x = np.arange(math.prod(shape), dtype=np.uint64) * 2654435761 + zlib.crc32(name.encode())
    for factor in (73244475, 668265263):
        x = (x ^ (x >> np.uint64(16))) * factor % 2**32
    return (x / 2**31 - 1).reshape(shape)


def state(shapes: dict[str, Sequence[int]]) -> dict[str, Tensor]:
    """Weights of a network with norms and dynamic convolutions, of the size that keeps what comes out near 1.

    Args:
        shapes: by name, as torch writes them: `running_var`, `num_batches_tracked`, `bias`, ...
    """
    return {name: torch.from_numpy(np.asarray(_values(name, shape))) for name, shape in shapes.items()}


def _values(name: str, shape: Sequence[int]) -> np.ndarray:
    leaf = name.rpartition(".")[2]
    if leaf == "num_batches_tracked":
        return np.array(7)
    values = uniform(name, shape)
    if leaf == "running_var" or (leaf == "weight" and len(shape) == 1):
        values = 1 + values / 2
    elif len(shape) == 1:
        values = values / 8
    elif len(shape) == 5:
        values = values * 5 * math.sqrt(3 / math.prod(shape[2:]))  # attentions halve it three times
    elif ".attention." in name:
        values = values * math.sqrt(3 / math.prod(shape[1:]))  # with more, rounding grows from layer to layer
    else:
        values = values * math.sqrt(6 / math.prod(shape[1:]))
    return values.astype(np.float32)
