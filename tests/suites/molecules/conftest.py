"""Fixtures of the molecules suite."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context


@pytest.fixture
def make_context() -> Callable[..., Context]:
    def make(seed: int = 0, **budget: Any) -> Context:
        values = {"epochs": 1, "batch_size": 32, "calibration_examples": 32, **budget}
        return Context(suite="molecules", task="synthetic", seed=seed, budget=Budget(**values), dtype=torch.float32)

    return make
