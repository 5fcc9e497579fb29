"""The states of the global random generators of Python, NumPy and torch, as plain values."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_states() -> dict[str, Any]:
    """The states of all of them, CUDA's too, as tensors, numbers, strings and lists."""
    name, keys, place, has_gauss, gauss = np.random.get_state()
    version, numbers, following = random.getstate()
    return {
        "python": [version, list(numbers), following],
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), place, has_gauss, gauss],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Set what `random_states` gave."""
    version, numbers, following = states["python"]
    random.setstate((version, tuple(numbers), following))
    name, keys, place, has_gauss, gauss = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), place, has_gauss, gauss))
    torch.set_rng_state(states["torch"])
    if states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])


def branch_random_states(number: int) -> None:
    """Go on with other random numbers than those who have the same states and another `number`."""
    digest = hashlib.sha256(torch.get_rng_state().numpy().tobytes() + str(number).encode()).digest()
    seed = int.from_bytes(digest[:4], "big")
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


@contextmanager
def undisturbed() -> Iterator[None]:
    """What is drawn inside the block leaves the states outside as they were."""
    states = random_states()
    try:
        yield
    finally:
        set_random_states(states)
