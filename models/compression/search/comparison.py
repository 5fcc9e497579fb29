"""Whole recipes compared on data that none was decided on: what the sum of damages cannot see."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from ...evaluation import evaluation_mode
from ..quantisation.packed.kernels.products import dense_products
from .budget import Kind
from .candidates import Candidate, over_all_layers, uniform
from .damage import Distance, divergence
from .knapsack import Solution
from .options import Option, SearchSpace
from .prices import Price
from .recipe import SEARCHED, Decision, Recipe, Tried
from .trials import Ranked


@dataclass(frozen=True)
class Found:
    """What the search knows when its knapsack is solved: of each mixture the options, what they save and harm."""

    ranked: Sequence[Ranked]
    options: Sequence[Sequence[Option]]
    savings: Sequence[Sequence[Price]]
    damages: Sequence[Sequence[float]]
    solution: Solution
    before: Price
    kind: Kind
    limit: int

    def best(self) -> Recipe:
        """The recipe of least predicted damage."""
        places = self.solution.chosen
        options = tuple(own[place] for own, place in zip(self.options, places, strict=True))
        savings = tuple(own[place] for own, place in zip(self.savings, places, strict=True))
        return self._recipe(Candidate(SEARCHED, options, savings))

    def recipes(self, model: nn.Module, space: SearchSpace) -> list[Recipe]:
        """That one first, then the other candidates within the budget; each once."""
        least = self.before.of(self.kind) - self.limit
        candidates = uniform(self.ranked, space, self.options, self.savings, self.kind, least)
        over_all = over_all_layers(model, self.ranked, space, self.kind, least)
        if over_all is not None:
            candidates.append(over_all)
        found: dict[tuple[Option, ...], Recipe] = {}
        for recipe in (self.best(), *map(self._recipe, candidates)):
            found.setdefault(tuple(one.after for one in recipe.decisions), recipe)
        return list(found.values())

    def _recipe(self, candidate: Candidate) -> Recipe:
        decisions: list[Decision] = []
        after = self.before
        for place, (one, option) in enumerate(zip(self.ranked, candidate.options, strict=True)):
            own = self.options[place]
            harm = self.damages[place][own.index(option)] if option in own else None
            mixture = one.mixture
            decisions.append(
                Decision(layer=mixture.path, block=mixture.block.index, before=own[0], after=option, damage=harm)
            )
            after = after - candidate.savings[place]
        harms = [one.damage for one in decisions if one.damage is not None]
        return Recipe(
            decisions=tuple(decisions),
            kind=self.kind,
            limit=self.limit,
            before=self.before,
            after=after,
            damage=math.fsum(harms) if len(harms) == len(decisions) else None,
            unit=self.solution.unit,
            exact=self.solution.exact,
            name=candidate.name,
        )


def split(batches: Sequence[object], held_out: float) -> tuple[list[Any], list[Any]]:
    """Batches to search on, and those held out, evenly spread over all; one batch alone serves for both.

    >>> split([0, 1, 2, 3, 4, 5, 6, 7], 0.25)
    ([0, 1, 3, 4, 5, 7], [2, 6])
    """
    batches = list(batches)
    if held_out == 0:
        return batches, []
    if len(batches) == 1:
        return batches, batches
    count = min(max(1, round(held_out * len(batches))), len(batches) - 1)
    places = {(2 * number + 1) * len(batches) // (2 * count) for number in range(count)}
    return (
        [batch for place, batch in enumerate(batches) if place not in places],
        [batch for place, batch in enumerate(batches) if place in places],
    )


def nearest(
    model: nn.Module,
    recipes: Sequence[Recipe],
    make: Callable[[nn.Module, Recipe], None],
    batches: Sequence[object],
    distance: Distance,
) -> Recipe:
    """The recipe that, made on a copy of the model, stays nearest to it on these batches; of equal ones the first.

    Memory holds the model and one copy. Packed weights are read by their dense ones, so that every machine finds the
    same. Of one recipe alone nothing is made.
    """
    if len(recipes) == 1:
        return recipes[0]
    tried: list[Tried] = []
    with evaluation_mode(model):
        for recipe in recipes:
            tried.append(Tried(recipe.name, _divergence(model, recipe, make, batches, distance)))
    best = min(range(len(recipes)), key=lambda place: tried[place].divergence)
    return replace(recipes[best], tried=tuple(tried))


def _divergence(
    model: nn.Module,
    recipe: Recipe,
    make: Callable[[nn.Module, Recipe], None],
    batches: Sequence[object],
    distance: Distance,
) -> float:
    changed = copy.deepcopy(model)
    with dense_products(), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the recipe that is made in the end says it again
        make(changed, recipe)
    with dense_products():
        return divergence(model, changed, batches, distance)
