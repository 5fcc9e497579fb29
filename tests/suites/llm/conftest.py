"""A language cell's surroundings without a runner: the tiny backbone, a small budget."""

import dataclasses
from collections.abc import Callable

import pytest
import torch

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.language.task import CausalLM


@pytest.fixture
def context() -> Context:
    budget = Budget(batch_size=2, test_examples=2, calibration_examples=3)
    return Context(suite="llm", task="synthetic", seed=0, budget=budget)


@pytest.fixture
def with_budget(context: Context) -> Callable[..., Context]:
    return lambda **changes: dataclasses.replace(context, budget=dataclasses.replace(context.budget, **changes))


@pytest.fixture
def lm() -> CausalLM:
    return tiny.load(torch.Generator().manual_seed(0))
