"""Speed runs: one thread unless a file says otherwise, few rounds, and what was run beside each time in the JSON."""

import gc
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from sparsebench.models.native.forms import by_rules

from .groups import Allowance, Timed, Variant, time_group
from .rounds import CPU, REPLAYED, Clock, threads
from .scope import FULL
from .targets import register, target

__all__ = ["target"]

SECOND_ROUNDS = math.inf if FULL else 5.0
"""Seconds of a session for them, so that the runs of `make bench` stay within their time."""


def pytest_configure(config: pytest.Config) -> None:
    register(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.benchmark(timer=REPLAYED))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with threads(1):
        yield


@pytest.fixture(autouse=True, scope="session")
def measured_forms() -> Iterator[None]:
    """As users have them, not by the rules that other tests keep to; the calls before the timed ones measure."""
    with by_rules(False):
        yield


@pytest.fixture(scope="session")
def timed_groups() -> dict[str, Timed]:
    """What was timed already: seconds and facts, no model."""
    return {}


@pytest.fixture(scope="session")
def allowance() -> Allowance:
    return Allowance(SECOND_ROUNDS)


@pytest.fixture
def compare(benchmark: Any, timed_groups: dict[str, Timed], allowance: Allowance) -> Callable[..., Timed]:
    """`compare(name, names, make, group=...)`: the times of one variant, timed in turn with all of its group.

    The first test of a group makes (`make(name)`, a `Variant`) and times all of them; each test hands those of its own
    over to pytest-benchmark. All of a group are in memory at the same time. Further keywords are facts of this variant.
    """

    def compare(
        name: str,
        names: Iterable[str],
        make: Callable[[str], Variant],
        *,
        group: str,
        clock: Clock = CPU,
        count: int = 1,
        rounds: int | None = None,
        **facts: object,
    ) -> Timed:
        if group not in timed_groups:
            with threads(count):
                timed_groups[group] = time_group(names, make, clock, rounds, allowance)
            gc.collect()
        found = timed_groups[group]
        if name in found.missing:
            raise found.missing[name]
        benchmark.group = group
        benchmark.extra_info.update(found.facts(name), threads=count, **facts)
        seconds = found.seconds[name]
        benchmark.pedantic(REPLAYED.replay(seconds), rounds=len(seconds), iterations=1)
        return found

    return compare
