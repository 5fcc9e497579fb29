"""Which functions a tier runs: a choice by costs, changes and the commit, without importing a test."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .costs import Costs

CHEAP = 0.32
"""A function below this many CPU seconds is run by every `make test`, with all its cases."""
BUDGET = 8.75 * 60
"""CPU seconds of `make test`, collection included."""
ROOM = 30.0
"""What of the budget must be free for functions that a change touches."""
QUICK_BUDGET = 180.0
WORKERS = 2
"""Processes that collect everything, on the machine that the budget is meant for."""
PARTS = 16


class Choice(NamedTuple):
    """What a tier runs, and why."""

    cheap: list[str]
    by_commit: list[str]
    touched: list[str]
    left: list[str]
    """Touched functions for which the budget has no room."""
    seconds: float

    @property
    def functions(self) -> set[str]:
        return {*self.cheap, *self.by_commit, *self.touched}


def parts_of(dear: Iterable[str], costs: Costs) -> list[list[str]]:
    """The dear functions in parts of nearly equal cost: the dearest first, each into the lightest part.

    Functions of one file that share a fixture stay together, so that it is paid once.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(dear, key=lambda name: (-costs.of(name), name)):
        groups.setdefault(name.partition("::")[0] if name in costs.shared else name, []).append(name)
    parts: list[list[str]] = [[] for _ in range(PARTS)]
    weights = [0.0] * PARTS
    for group in sorted(groups.values(), key=lambda group: (-costs.together(group), group)):
        lightest = weights.index(min(weights))
        parts[lightest] += group
        weights[lightest] += costs.together(group)
    return parts


def standing(functions: Sequence[str], costs: Costs) -> float:
    """CPU seconds of `make test` before anything is touched: collection, the cheap ones, the heaviest part."""
    cheap = [name for name in functions if costs.of(name) < CHEAP or name not in costs.known]
    parts = parts_of(set(functions) - set(cheap), costs)
    return WORKERS * costs.collection + costs.together(cheap) + max(costs.together(part) for part in parts)


def for_test(functions: Sequence[str], costs: Costs, commit: str, touched: set[str]) -> Choice:
    """What `make test` runs.

    Args:
        functions: all functions of the tree.
        costs: what they cost; a function without a cost is run.
        commit: hexadecimal hash that chooses the part of the dear ones.
        touched: functions that reach a changed file.
    """
    cheap = [name for name in functions if costs.of(name) < CHEAP or name not in costs.known]
    parts = parts_of(set(functions) - set(cheap), costs)
    by_commit = parts[int(commit[:8], 16) % PARTS]
    seconds = WORKERS * costs.collection + costs.together(cheap) + costs.together(by_commit)
    more, left = fitting(touched - {*cheap, *by_commit}, costs, BUDGET - seconds)
    return Choice(cheap, by_commit, more, left, seconds + costs.together(more))


def for_quick_test(costs: Costs, touched: set[str]) -> Choice:
    """What `make quick-test` runs: what the working tree touches, the cheapest first."""
    chosen, left = fitting(touched, costs, QUICK_BUDGET)
    return Choice([], [], chosen, left, costs.together(chosen))


def fitting(names: Iterable[str], costs: Costs, budget: float) -> tuple[list[str], list[str]]:
    """The cheapest functions that the budget has room for, and the rest."""
    ordered = sorted(names, key=lambda name: (costs.of(name), name))
    lengths = range(len(ordered) + 1)
    room = bisect_right(lengths, budget, key=lambda length: costs.together(ordered[:length]))
    count = max(room - 1, 0)
    return ordered[:count], ordered[count:]
