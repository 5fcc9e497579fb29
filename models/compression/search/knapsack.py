"""One option for each mixture, with the least damage that a budget allows: a multiple-choice knapsack.

Dynamic programming over costs, as SPDY (Frantar and Alistarh, arXiv 2201.13096) does for layers with several
sparsities. Costs are whole numbers, so that the programme is exact as long as their common divisor leaves few enough
different sums; else costs are rounded up to a coarser unit, and the choice keeps the budget all the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ...errors import ModelError

MOST_CELLS = 1 << 18
"""Different sums of costs that are told apart at most."""

# Shapes: C units of cost that the budget leaves above the cheapest choice.


@dataclass(frozen=True)
class Solution:
    """What `solve` chose.

    Attributes:
        chosen: the place of the option of each mixture.
        cost: of all together.
        damage: of all together.
        unit: what costs were rounded up to.
        exact: `unit` is their common divisor: no choice within the budget has less damage. Else none has whose cost is
            lower than the budget by a unit for each mixture.
    """

    chosen: tuple[int, ...]
    cost: int
    damage: float
    unit: int
    exact: bool


def solve(
    costs: Sequence[Sequence[int]],
    damages: Sequence[Sequence[float]],
    budget: int,
    *,
    cells: int = MOST_CELLS,
) -> Solution:
    """Choose an option for each mixture: the sum of the damages is least, that of the costs at most the budget.

    Of equal damages the lower cost is taken, then the earlier options.

    Args:
        costs: whole numbers, one for each option of each mixture.
        damages: one for each option of each mixture; finite.
        budget: the most that the chosen options may cost together.
        cells: columns of the table at most. A larger budget is counted in coarser units, costs rounded up.

    Returns:
        The place of the chosen option of each mixture, their cost and damage, the unit, and whether it was exact.

    Raises:
        ModelError: a budget below the least possible cost (it names that), damages that are not finite.

    >>> solve([[4, 1], [4, 2]], [[0.0, 3.0], [0.0, 1.0]], 6).chosen
    (0, 1)
    """
    _check(costs, damages, budget)
    least = [min(options) for options in costs]
    room = budget - sum(least)
    # Counted from the cheapest option of each mixture, so that the table has columns only for what there is to decide.
    above = [[cost - low for cost in options] for options, low in zip(costs, least, strict=True)]
    divisor = math.gcd(*(cost for options in above for cost in options)) or 1
    # A common divisor loses nothing; where that is too fine for the table, costs are rounded up, so that the budget
    # holds in any case.
    unit = max(divisor, -(-room // cells))
    weights = [[-(-cost // unit) for cost in options] for options in above]
    chosen = _table(weights, damages, room // unit)
    return Solution(
        chosen=chosen,
        cost=sum(options[place] for options, place in zip(costs, chosen, strict=True)),
        damage=math.fsum(options[place] for options, place in zip(damages, chosen, strict=True)),
        unit=unit,
        exact=unit == divisor,
    )


def _check(costs: Sequence[Sequence[int]], damages: Sequence[Sequence[float]], budget: int) -> None:
    if [len(options) for options in costs] != [len(options) for options in damages]:
        raise ModelError("each option of each mixture needs a cost and a damage")
    for options in damages:
        if not all(map(math.isfinite, options)):
            raise ModelError(f"damages {list(options)} are not all finite")
    least = sum(min(options) for options in costs)
    if budget < least:
        raise ModelError(f"a budget of {budget} is less than {least}, the least that these options cost")


def _table(weights: Sequence[Sequence[int]], damages: Sequence[Sequence[float]], units: int) -> tuple[int, ...]:
    """The chosen places, by the table of the least damage at each exact sum of weights."""
    best_C = torch.full((units + 1,), math.inf, dtype=torch.float64)
    best_C[0] = 0.0
    taken: list[torch.Tensor] = []
    for own, harms in zip(weights, damages, strict=True):
        next_C = torch.full_like(best_C, math.inf)
        place_C = torch.full((units + 1,), -1, dtype=torch.int32)
        for place, (weight, harm) in enumerate(zip(own, harms, strict=True)):
            if weight > units:
                continue
            found_C = best_C[: units + 1 - weight] + harm
            # Strictly less: of equal options the earlier one stays.
            better_C = found_C < next_C[weight:]
            next_C[weight:][better_C] = found_C[better_C]
            place_C[weight:][better_C] = place
        best_C = next_C
        taken.append(place_C)
    # The first of equal ones is the cheapest.
    left = int(best_C.argmin())
    chosen: list[int] = []
    # Backwards: what the last mixture took says which sum the mixtures before it had.
    for own, place_C in zip(reversed(weights), reversed(taken), strict=True):
        place = int(place_C[left])
        chosen.append(place)
        left -= own[place]
    return tuple(reversed(chosen))
