"""A mixture by itself, in float64, with a router that prefers some experts."""

from collections.abc import Callable

import pytest
from torch import Tensor

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.layer import MoEFFN

from .balanced_processes import WIDTH, draw, mixture_of


@pytest.fixture(scope="session")
def mixture() -> Callable[[MoEConfig], MoEFFN]:
    """`mixture(config)`: in training mode."""
    return lambda config: mixture_of(config, seed=90, size=1.0).train()


@pytest.fixture(scope="session")
def tokens() -> Callable[..., Tensor]:
    """`tokens(T)`: inputs of such a mixture (T, D)."""
    return lambda count, seed=0: draw(count, WIDTH, seed=seed)
