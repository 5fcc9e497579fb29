"""Whole recipes that are alike in all mixtures, or that one score makes over all of them: what a search has to beat."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from ..trimming.experts.budgets import best_of_all
from ..trimming.experts.width import width_of
from .budget import Kind
from .options import Option, SearchSpace, combinations, number_of
from .prices import Price, saved
from .trials import Ranked


@dataclass(frozen=True)
class Candidate:
    """What becomes of each mixture, and what each option takes off the price of the model; `name` is for people."""

    name: str
    options: tuple[Option, ...]
    savings: tuple[Price, ...]


def uniform(
    ranked: Sequence[Ranked],
    space: SearchSpace,
    options: Sequence[Sequence[Option]],
    savings: Sequence[Sequence[Price]],
    kind: Kind,
    least: int,
) -> list[Candidate]:
    """Recipes that leave all mixtures the same fractions and bits and save `least` or more of the budget's kind.

    Without those that another one beats in everything: at least as many experts, neurons and bits of each mixture.
    """
    rows = zip(*(combinations(one.mixture.experts, space) for one in ranked), strict=True)
    found: list[Candidate] = []
    for row in dict.fromkeys(rows):
        places = [own.index(option) for own, option in zip(options, row, strict=True)]
        prices = tuple(own[place] for own, place in zip(savings, places, strict=True))
        if sum(price.of(kind) for price in prices) >= least:
            found.append(Candidate(f"uniform: {row[0]}", row, prices))
    return [one for one in found if not any(_beats(other, one) for other in found)]


def _beats(one: Candidate, other: Candidate) -> bool:
    pairs = zip(map(_sizes, one.options), map(_sizes, other.options), strict=True)
    return one != other and all(a >= b for first, second in pairs for a, b in zip(first, second, strict=True))


def _sizes(option: Option) -> tuple[float, float, float]:
    return option.experts, option.width, math.inf if option.bits is None else option.bits


def over_all_layers(
    model: nn.Module, ranked: Sequence[Ranked], space: SearchSpace, kind: Kind, least: int
) -> Candidate | None:
    """The experts that score best over all mixtures together, as many as save `least` of the budget's kind.

    Each mixture keeps as many as the space leaves it at least. None where experts do not go, where so few cannot be
    saved by them, and for routers that choose among groups, of each of which equally many have to stay.
    """
    experts = [one.mixture.experts for one in ranked]
    if not space.experts or any(one.groups > 1 or one.least_in_group > 1 for one in experts):
        return None
    fewest = min(number_of(one, min(space.experts)) for one in experts)
    scores = [one.experts for one in ranked]
    price = _prices(model, ranked)

    def made(total: int) -> Candidate:
        numbers = [len(kept) for kept in best_of_all(scores, total, fewest)]
        pairs = [price(place, number) for place, number in enumerate(numbers)]
        chosen = tuple(option for option, _ in pairs)
        return Candidate("the score over all layers", chosen, tuple(saving for _, saving in pairs))

    def enough(candidate: Candidate) -> bool:
        return sum(saving.of(kind) for saving in candidate.savings) >= least

    low = fewest * len(ranked)
    best = made(low)
    if not enough(best):
        return None
    high = sum(one.num_experts for one in experts)
    # Fewer experts save more, so the largest total that saves enough is found by halving: `low` always does.
    while high - low > 1:
        middle = (low + high) // 2
        candidate = made(middle)
        if enough(candidate):
            low = middle
            best = candidate
        else:
            high = middle
    return best


def _prices(model: nn.Module, ranked: Sequence[Ranked]) -> Callable[[int, int], tuple[Option, Price]]:
    """The option of a mixture with so many experts, and what it saves; counted once for each."""
    known: dict[tuple[int, int], tuple[Option, Price]] = {}

    def price(place: int, number: int) -> tuple[Option, Price]:
        if (place, number) not in known:
            one = ranked[place]
            option = Option(number, width_of(one.mixture.experts))
            known[place, number] = (option, saved(model, one, [option], {})[0])
        return known[place, number]

    return price
