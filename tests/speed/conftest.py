"""Speed runs: one thread unless a file says otherwise, few rounds, and what was run beside each time in the JSON."""

import time
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo import OptimizedModule

from sparsebench.models.counting import flops
from sparsebench.models.native.forms import by_rules

from .rounds import threads
from .targets import register, target

__all__ = ["target"]

SECONDS = 0.25  # of timed calls per benchmark, unless seven rounds take longer


def pytest_configure(config: pytest.Config) -> None:
    register(config)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with threads(1):
        yield


@pytest.fixture(autouse=True, scope="session")
def measured_forms() -> Iterator[None]:
    """As users have them, not by the rules that other tests keep to; the calls before the timed ones measure."""
    with by_rules(False):
        yield


@pytest.fixture
def measure(benchmark: Callable) -> Callable[..., None]:
    """`measure(call, group=..., role=..., model=..., inputs=..., **facts)`: time a call and note the facts.

    Roles: "ours", "peer" (what a user would take instead), "reference" (something else to compare with) and "floor"
    (the least work that could do).
    """

    def measure(
        call: Callable[[], object],
        *,
        group: str,
        role: str,
        model: nn.Module,
        inputs: Tensor,
        clock: str = "CPU time of the process",
        **facts: object,
    ) -> None:
        benchmark.group = group
        benchmark.extra_info.update(
            role=role,
            dtype=str(inputs.dtype).removeprefix("torch."),
            rows=inputs.numel() // inputs.shape[-1],
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            flops=None if isinstance(model, OptimizedModule) else flops(model, inputs.detach()),
            threads=torch.get_num_threads(),
            clock=clock,
            **facts,
        )
        call()
        start = time.perf_counter()
        call()
        rounds = max(7, min(50, int(SECONDS / (time.perf_counter() - start))))
        benchmark.pedantic(call, rounds=rounds, iterations=1)

    return measure
